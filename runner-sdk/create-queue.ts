import { randomUUID } from 'node:crypto';
import { retryDelayMs } from './backoff';
import { monotonicMs } from './clock';
import { BatonError } from './errors';
import type { Transport } from './http';
import type { CreatedJobs, ErrorCode, ItemError, Job } from './protocol';
import type { Trace } from './tracing';

export interface Creation {
  /** The job without its idempotency key, as JSON text: a snapshot of what the caller gave. */
  json: string;
  /** Default: random, so that a create that is sent again never makes two jobs. */
  idempotencyKey?: string;
  trace?: Trace | undefined;
  signal?: AbortSignal;
  /** It has an `orderKey`: it must not overtake one that was asked for before. */
  isOrdered?: boolean;
}

interface Entry {
  json: string;
  trace: Trace | undefined;
  idempotencyKey: string;
  isOrdered: boolean;
  endsAtMs: number;
  failures: number;
  isWithdrawn: boolean;
  resolve: (job: Job) => void;
  reject: (error: unknown) => void;
}

const JOBS_PER_CALL = 1000;
const CALL_LENGTH = 1_000_000;
/** While one call is answered the next can be made, so that client, coordinator and database work at the same time. */
const CALLS_IN_FLIGHT = 2;
/** Fewer jobs than this wait for the call in flight: it is cheaper to let them travel together. */
const FILL_BESIDE = 32;
const TRY_AGAIN = new Set<string>(['unavailable', 'internal', 'rate_limited']);

/**
 * Creates in natural batches: what is asked for while a call is in flight, or in one turn of the event loop, travels
 * together in one bulk call that judges each job alone; of many, in two at once. One that is alone goes as `POST /jobs`.
 */
export class CreateQueue {
  private waiting: Entry[] = [];
  /** Calls in flight or about to be, and how many of them have not taken their jobs yet. */
  private calls = 0;
  private starting = 0;
  private orderedInFlight = 0;

  constructor(
    private readonly transport: Transport,
    private readonly budgetMs: number,
  ) {}

  add({ json, idempotencyKey = randomUUID(), trace, signal, isOrdered = false }: Creation): Promise<Job> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const entry: Entry = {
        json,
        trace,
        idempotencyKey,
        isOrdered,
        endsAtMs: monotonicMs() + this.budgetMs,
        failures: 0,
        isWithdrawn: false,
        resolve,
        reject,
      };
      if (signal !== undefined) this.heed(signal, entry);
      this.enqueue(entry);
    });
  }

  private heed(signal: AbortSignal, entry: Entry): void {
    const stop = () => {
      entry.isWithdrawn = true;
      this.waiting = this.waiting.filter((other) => other !== entry);
      reject(signal.reason);
    };
    const { resolve, reject } = entry;
    signal.addEventListener('abort', stop, { once: true });
    entry.resolve = (job) => (signal.removeEventListener('abort', stop), resolve(job));
    entry.reject = (error) => (signal.removeEventListener('abort', stop), reject(error));
  }

  private enqueue(entry: Entry): void {
    this.waiting.push(entry);
    this.wake();
  }

  private wake(): void {
    if (this.calls > 0 && (this.calls === CALLS_IN_FLIGHT || this.waiting.length < FILL_BESIDE)) return;
    this.open();
  }

  private open(): void {
    this.calls += 1;
    this.starting += 1;
    queueMicrotask(() => void this.pump());
  }

  private async pump(): Promise<void> {
    while (this.mayTake()) {
      const batch = this.takeBatch(Math.ceil(this.waiting.length / this.starting));
      const ordered = batch.filter((entry) => entry.isOrdered).length;
      this.orderedInFlight += ordered;
      this.starting -= 1;
      try {
        const [first] = batch;
        if (batch.length === 1 && first !== undefined) await this.sendOne(first);
        else await this.sendMany(batch);
      } catch (error) {
        for (const entry of batch) entry.reject(error);
      }
      this.orderedInFlight -= ordered;
      this.starting += 1;
      if (this.calls < CALLS_IN_FLIGHT && this.waiting.length >= 2 * FILL_BESIDE) this.open();
    }
    this.starting -= 1;
    this.calls -= 1;
  }

  private mayTake(): boolean {
    return this.waiting.some((entry) => !this.isHeld(entry));
  }

  /** While jobs of an order are in flight or put off, others of an order wait for them, lest they be there before. */
  private isHeld(entry: Entry): boolean {
    return entry.isOrdered && this.orderedInFlight > 0;
  }

  private takeBatch(most: number): Entry[] {
    const batch: Entry[] = [];
    const held: Entry[] = [];
    let length = 0;
    let looked = 0;
    for (const entry of this.waiting) {
      if (this.isHeld(entry)) held.push(entry);
      else {
        length += Buffer.byteLength(entry.json);
        if (batch.length > 0 && (batch.length === Math.min(most, JOBS_PER_CALL) || length > CALL_LENGTH)) break;
        batch.push(entry);
      }
      looked += 1;
    }
    this.waiting.splice(0, looked);
    if (held.length > 0) this.waiting = held.concat(this.waiting);
    return batch;
  }

  private async sendOne(entry: Entry): Promise<void> {
    const headers = { 'idempotency-key': entry.idempotencyKey, ...entry.trace };
    const budgetMs = Math.max(0, entry.endsAtMs - monotonicMs());
    entry.resolve(
      (
        await this.transport.call<Job>({
          method: 'POST',
          path: '/jobs',
          json: entry.json,
          headers,
          expects: 'id',
          budgetMs,
        })
      ).body,
    );
  }

  private async sendMany(batch: readonly Entry[]): Promise<void> {
    const jobs = batch.map(({ json, idempotencyKey, trace }) => withKey(json, idempotencyKey, trace));
    const budgetMs = Math.max(0, ...batch.map((entry) => entry.endsAtMs - monotonicMs()));
    const json = `{"atomic":false,"jobs":[${jobs.join(',')}]}`;
    const reply = await this.transport.call<CreatedJobs>({
      method: 'POST',
      path: '/jobs/bulk',
      json,
      expects: 'jobs',
      budgetMs,
    });
    const waitMs = retryDelayMs(1 + Math.max(...batch.map((entry) => entry.failures)), null);
    const again = batch.filter((entry, index) => !this.judge(entry, reply.body.jobs[index], waitMs));
    if (again.length > 0) this.putOff(again, waitMs);
  }

  /** `false` when it is to be sent again after `waitMs`. */
  private judge(entry: Entry, answer: Job | ItemError | undefined, waitMs: number): boolean {
    if (answer !== undefined && !('code' in answer)) return (entry.resolve(answer), true);
    const error = answer ?? {
      code: 'internal' as const,
      detail: 'the answer to a bulk create held no word on this job',
    };
    if (TRY_AGAIN.has(error.code) && monotonicMs() + waitMs <= entry.endsAtMs) return false;
    entry.reject(itemRefusal(error));
    return true;
  }

  /** Those of a call come back together, before all that was asked for later: jobs of an order stay in it. */
  private putOff(entries: readonly Entry[], waitMs: number): void {
    const ordered = entries.filter((entry) => entry.isOrdered).length;
    this.orderedInFlight += ordered;
    setTimeout(() => {
      this.orderedInFlight -= ordered;
      for (const entry of entries) entry.failures += 1;
      this.waiting.unshift(...entries.filter((entry) => !entry.isWithdrawn));
      this.wake();
    }, waitMs);
  }
}

/** The job's JSON text with its key and its trace put in, without reading it again. */
export function withKey(json: string, idempotencyKey: string, trace?: Trace): string {
  const traced = trace === undefined ? '' : `,${JSON.stringify(trace).slice(1, -1)}`;
  return `${json.slice(0, -1)},"idempotencyKey":${JSON.stringify(idempotencyKey)}${traced}}`;
}

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  validation_failed: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  state_conflict: 409,
  idempotency_conflict: 409,
  dependency_cycle: 400,
  payload_too_large: 413,
  rate_limited: 429,
  unavailable: 503,
};

/** One item's refusal in a bulk answer, with the status it would have had alone. */
export function itemRefusal(error: ItemError): BatonError {
  return new BatonError({ ...error, status: STATUS_OF[error.code] ?? 500 });
}
