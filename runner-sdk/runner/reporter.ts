import { setImmediate } from 'node:timers/promises';
import { retryDelayMs } from '../transport/backoff';
import type { ClaimInFlight } from './claim-poller';
import { monotonicMs } from '../transport/clock';
import { BatonError } from '../transport/errors';
import { messageOf } from '../transport/failure';
import type { Transport } from '../transport/transport';
import type { Logger } from './logger';
import {
  cleanText,
  type ClaimedJob,
  type CompletionsInput,
  type CompleteReply,
  type CompletionsReply,
  type Directives,
} from '../protocol';

export type Completion = CompletionsInput['completions'][number];

export interface Report {
  completion: Completion;
  attempt: number;
  /** When the attempt's deadline has certainly passed, after which no answer is useful. */
  giveUpAtMs: number;
  /** Called once with the coordinator's answer to the report, or `null` when it accepted none. */
  onAnswer?: ((reply: CompleteReply | null) => void) | null;
}

interface Entry extends Report {
  json: string;
  failures: number;
  /** A reduced report that is sent when the full one was refused. */
  isFallback: boolean;
}

export interface ReporterOptions {
  transport: Transport;
  logger: Logger;
  /** The claim that is sent with the next reports, if slots are free; each of several calls gets its share. */
  prepareClaim: (calls: number) => ClaimInFlight | null;
  finishClaim: (claim: ClaimInFlight, jobs: ClaimedJob[]) => void;
  /** The outcome of the claim is unknown: its answer may have been lost. */
  recoverClaim: (claim: ClaimInFlight) => void;
  onDirectives: (directives: Directives) => void;
  /** These reports are settled, whatever the outcome. */
  onDone: (leaseTokens: string[]) => void;
  /** Called when nothing is under way any more. */
  onIdle: () => void;
}

const REPORTS_PER_CALL = 1000;
/** While one call is answered the next one is prepared, so that runner, coordinator and database work in parallel. */
const CALLS_IN_FLIGHT = 2;
/** Fewer reports than this wait for the call in flight, because sending them together is cheaper. */
const FILL_BESIDE = 32;
const CALL_LENGTH = 1_000_000;
/** A single report that makes the coordinator fail must not delay all others and the next claim until its deadline. */
const TRIES_AFTER_500 = 4;
const FLUSH_TRY_MS = 2000;
const FLUSHING_NOW = new Error('the runner ends soon');
const TRY_AGAIN = new Set(['unavailable', 'internal', 'rate_limited']);
const REFUSED = new Set(['validation_failed', 'payload_too_large']);

type Verdict = CompletionsReply['results'][number];

/**
 * Reports how attempts ended, in natural batches: attempts that end while a call is in flight go into the next one, and
 * the freed slots are claimed in the same round trip. A runner with many slots has two calls in flight. Each report is
 * answered on its own, and retried until an answer arrives or its deadline has passed.
 */
export class Reporter {
  private waiting: Entry[] = [];
  private readonly outstanding = new Set<Entry>();
  private readonly putOffs = new Map<Entry, NodeJS.Timeout>();
  private control = new AbortController();
  private tryMs: number | undefined;
  /** Calls in flight or about to start, and how many of them have not taken their reports yet. */
  private calls = 0;
  private starting = 0;
  private whenEmpty: (() => void)[] = [];

  constructor(private readonly options: ReporterOptions) {}

  /** `true` while a call is in flight or about to start. */
  get isBusy(): boolean {
    return this.calls > 0;
  }

  /** A single literal, like everything created per job: spread objects are slow. */
  push({ completion, attempt, giveUpAtMs, onAnswer = null }: Report): void {
    this.enqueue({
      completion,
      attempt,
      giveUpAtMs,
      onAnswer,
      json: JSON.stringify(completion),
      failures: 0,
      isFallback: false,
    });
  }

  /** Resolves when every report is settled. */
  async flushed(): Promise<void> {
    if (this.outstanding.size === 0 && this.calls === 0) return;
    await new Promise<void>((resolve) => this.whenEmpty.push(resolve));
  }

  /**
   * Aborts calls in flight and sends them again, each attempt with less time, so that a hanging call does not lose its
   * reports when the runner ends. Postponed reports are sent now.
   */
  flushNow(): void {
    const former = this.control;
    this.control = new AbortController();
    this.tryMs = FLUSH_TRY_MS;
    former.abort(FLUSHING_NOW);
    for (const entry of [...this.putOffs.keys()]) this.bringBack(entry);
  }

  /** Gives up all unsettled reports. */
  stop(): void {
    this.control.abort(new Error('the runner stopped before the report was answered'));
  }

  private enqueue(entry: Entry): void {
    this.outstanding.add(entry);
    this.waiting.push(entry);
    if (this.calls > 0 && (this.calls === CALLS_IN_FLIGHT || this.waiting.length < FILL_BESIDE)) return;
    this.calls += 1;
    void this.pump();
  }

  private async pump(): Promise<void> {
    do {
      this.starting += 1;
      // All handlers that end in this turn of the event loop share a call.
      await setImmediate();
      const share = this.starting;
      this.starting -= 1;
      if (this.waiting.length > 0)
        await this.send(this.takeBatch(Math.ceil(this.waiting.length / share)), this.options.prepareClaim(share));
    } while (this.waiting.length > 0);
    this.calls -= 1;
    if (this.calls > 0) return;
    this.options.onIdle();
    if (this.outstanding.size === 0) for (const resolve of this.whenEmpty.splice(0)) resolve();
  }

  private takeBatch(most: number): Entry[] {
    let count = 0;
    let length = 0;
    for (const { json } of this.waiting) {
      length += Buffer.byteLength(json);
      if (count > 0 && (count === Math.min(most, REPORTS_PER_CALL) || length > CALL_LENGTH)) break;
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private async send(batch: Entry[], claim: ClaimInFlight | null): Promise<void> {
    const json = `{"completions":[${batch.map((entry) => entry.json).join(',')}]${claim === null ? '' : `,"claim":${JSON.stringify(claim.body)}`}}`;
    const budgetMs = batch.reduce((latestMs, entry) => Math.max(latestMs, entry.giveUpAtMs), 0) - monotonicMs();
    const triesAfter500 = batch.some((entry) => entry.failures > 0) ? 0 : TRIES_AFTER_500;
    let reply: CompletionsReply;
    try {
      const onRetry = (failure: BatonError, failures: number) => this.warn(failure, failures, batch);
      const answer = await this.options.transport.call<CompletionsReply>({
        method: 'POST',
        path: '/jobs/complete',
        json,
        expects: 'results',
        budgetMs: Math.max(0, budgetMs),
        untilEnd: true,
        triesAfter500,
        signal: this.control.signal,
        onRetry,
        ...(this.tryMs !== undefined && { timeoutMs: this.tryMs }),
      });
      reply = answer.body;
    } catch (error) {
      if (error === FLUSHING_NOW) return this.send(batch, claim);
      if (claim !== null && error instanceof BatonError && isRefusal(error) && !isForeignRefusal(error))
        this.options.finishClaim(claim, []);
      else if (claim !== null) this.options.recoverClaim(claim);
      return this.afterRefusal(batch, claim !== null, error);
    }
    if (claim !== null) {
      this.options.finishClaim(claim, reply.jobs ?? []);
      // Reports without a claim do not name their runner, so their answers have no directives.
      this.options.onDirectives(reply.directives ?? {});
    }
    const verdicts = verdictsFor(batch, reply.results);
    this.close(batch.filter((entry, index) => this.judge(entry, verdicts[index])));
  }

  private warn(failure: BatonError, failures: number, batch: readonly Entry[]): void {
    if (failures !== 1) return;
    this.options.logger.warn('no answer to a report; it is sent again until its deadline', {
      error: failure.message,
      reports: batch.length,
    });
  }

  /** The whole call was refused: find out which part caused it, or give up. */
  private async afterRefusal(batch: Entry[], hadClaim: boolean, error: unknown): Promise<void> {
    const [first] = batch;
    if (first === undefined || !(error instanceof BatonError) || !(isOfBody(error) || mayPass(error))) {
      this.logGivenUp(batch, messageOf(error));
      return this.close(batch);
    }
    if (mayPass(error)) {
      this.warn(error, 1 + Math.max(...batch.map((entry) => entry.failures)), batch);
      // Retried at different times, so that one report's fault does not affect the others again.
      return this.close(batch.filter((entry) => !this.putOff(entry)));
    }
    if (hadClaim) return this.send(batch, null);
    if (batch.length === 1) return this.close(this.replace(first, error.code, error.detail) ? [] : batch);
    const half = Math.ceil(batch.length / 2);
    await this.send(batch.slice(0, half), null);
    await this.send(batch.slice(half), null);
  }

  /** `true` when the report is settled; otherwise it is back in the queue. */
  private judge(entry: Entry, verdict: Verdict | undefined): boolean {
    if (verdict !== undefined && 'status' in verdict) {
      answer(entry, verdict);
      return true;
    }
    if (verdict === undefined || TRY_AGAIN.has(verdict.code)) return !this.putOff(entry);
    if (REFUSED.has(verdict.code)) return !this.replace(entry, verdict.code, verdict.detail);
    this.options.logger.warn('a report came too late or was not allowed; it is dropped', {
      ...named(entry),
      code: verdict.code,
    });
    return true;
  }

  /** `false` when there is no time left for another attempt. */
  private putOff(entry: Entry): boolean {
    const waitMs = Math.min(retryDelayMs(entry.failures + 1, null), this.tryMs ?? Infinity);
    if (this.control.signal.aborted || monotonicMs() + waitMs > entry.giveUpAtMs) {
      this.logGivenUp([entry], 'the coordinator could not take it before its deadline');
      return false;
    }
    this.putOffs.set(
      entry,
      setTimeout(() => this.bringBack(entry), waitMs),
    );
    entry.failures += 1;
    return true;
  }

  private bringBack(entry: Entry): void {
    clearTimeout(this.putOffs.get(entry));
    this.putOffs.delete(entry);
    this.enqueue(entry);
  }

  /**
   * A refused result must still end the attempt: it is replaced once by a plain, non-retryable failure. Log lines are
   * dropped first, because they alone may be what is too large.
   */
  private replace(entry: Entry, code: string, detail: string): boolean {
    this.options.logger.error('the coordinator refused a report', { ...named(entry), code, detail });
    const { logs, ...unlogged } = entry.completion;
    if (logs !== undefined) return this.exchange(entry, unlogged, false);
    if (entry.isFallback) return false;
    const { jobId, leaseToken, outcome, metrics, error } = entry.completion;
    const refused = {
      message: `the coordinator refused the result: ${detail}`,
      code: 'result_refused',
      retryable: false,
    };
    const plain = {
      message: cleanText(error?.message, 1000),
      code: 'report_refused',
      retryable: error?.retryable ?? true,
    };
    const completion: Completion = {
      jobId,
      leaseToken,
      outcome: 'failed',
      error: outcome === 'completed' ? refused : plain,
      ...(metrics && { metrics }),
    };
    return this.exchange(entry, completion, true);
  }

  private exchange(entry: Entry, completion: Completion, isFallback: boolean): true {
    this.outstanding.delete(entry);
    this.enqueue({ ...entry, completion, json: JSON.stringify(completion), isFallback });
    return true;
  }

  private logGivenUp(batch: readonly Entry[], error: string): void {
    for (const entry of batch)
      this.options.logger.error('a report is given up; the coordinator will count the attempt as timed out', {
        ...named(entry),
        error,
      });
  }

  private close(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.outstanding.delete(entry);
      answer(entry, null);
    }
    this.options.onDone(entries.map(({ completion }) => completion.leaseToken));
  }
}

function answer(entry: Entry, reply: CompleteReply | null): void {
  entry.onAnswer?.(reply);
  entry.onAnswer = null;
}

/** The same body would be refused again. */
function isOfBody({ status }: BatonError): boolean {
  return status === 400 || status === 413;
}

/** A refusal that is not from the coordinator, such as an error page of a proxy. */
function isForeignRefusal(error: BatonError): boolean {
  return isRefusal(error) && !isOfBody(error) && error.code === 'unexpected_reply';
}

/** The refusal is not from the coordinator, or it is a server error, perhaps because of a single report. */
function mayPass(error: BatonError): boolean {
  return isForeignRefusal(error) || error.status === 500;
}

function isRefusal({ status }: BatonError): boolean {
  return status >= 400 && status < 500 && status !== 429;
}

/** The verdict of each report, in the order of the reports, in which a coordinator usually answers. */
function verdictsFor(batch: readonly Entry[], results: readonly Verdict[]): readonly (Verdict | undefined)[] {
  if (batch.every(({ completion }, index) => results[index]?.jobId === completion.jobId)) return results;
  const verdicts = new Map(results.map((verdict) => [verdict.jobId, verdict]));
  return batch.map(({ completion }) => verdicts.get(completion.jobId));
}

function named(entry: Entry): Record<string, unknown> {
  return { jobId: entry.completion.jobId, attempt: entry.attempt, outcome: entry.completion.outcome };
}
