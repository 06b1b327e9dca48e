import { randomUUID } from 'node:crypto';
import { onAbort } from '../transport/abort';
import { retryDelayMs } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import { BatonError } from '../transport/errors';
import { isWorthAnotherTry, type ApiRequest, type Transport } from '../transport/transport';
import { type CreatedJobs, ERROR_STATUS, type ItemError, type Job } from '../protocol';
import type { Trace } from '../transport/tracing';

/** Jobs with the same key must not overtake each other. */
export interface CreationOrder {
  /** Queue and `orderKey` in one text. */
  key: string;
  /**
   * User, type, priority and labels in one text. A coordinator limits how many jobs a user creates, and how many
   * different types, priorities and labels a caller names: only what has all of these in common is refused together.
   */
  limits: string;
}

export interface Creation {
  /** The job without its idempotency key, as JSON text: a snapshot of the caller's input. */
  json: string;
  /** Default: random, so that a retried create never makes two jobs. */
  idempotencyKey?: string;
  trace?: Trace | undefined;
  signal?: AbortSignal;
  order?: CreationOrder | undefined;
}

interface Entry {
  json: string;
  bytes: number;
  trace: Trace | undefined;
  idempotencyKey: string;
  order: CreationOrder | undefined;
  endsAtMs: number;
  failures: number;
  /** Most jobs in one call with it. Lowered when such a call fails, because one of its jobs may be the cause. */
  mostTogether: number;
  isWithdrawn: boolean;
  resolve: (job: Job) => void;
  reject: (error: unknown) => void;
}

const JOBS_PER_CALL = 1000;
const CALL_LENGTH = 1_000_000;
/** While one call is answered the next one is prepared, so that client, coordinator and database work in parallel. */
const CALLS_IN_FLIGHT = 2;
/** Fewer jobs than this wait for the call in flight, because sending them together is cheaper. */
const FILL_BESIDE = 32;
/** A call that takes longer than this no longer delays others. */
const PATIENCE_MS = 100;
/** Including slow ones; less than the connections of a transport. */
const MOST_CALLS = 32;
/** A failed call is split by this factor. When a part succeeds, the others may grow by the same factor. */
const DIVISOR = 8;
const TRY_AGAIN = new Set<string>(['unavailable', 'internal', 'rate_limited']);
/** Refusals of the caller, which apply to every job of a call. */
const OF_THE_CALLER = new Set<string>(['unauthenticated', 'forbidden']);

/**
 * Creates jobs in natural batches: calls made while a request is in flight, or in one turn of the event loop, share one
 * bulk request in which each job is accepted or refused on its own; many use two at once. A single call is sent as
 * `POST /jobs`.
 *
 * No job waits for another. A job that must be retried later leaves the queue and returns when its time has come; a
 * request that fails as a whole is split, and its jobs are not sent with others until they have succeeded; a slow
 * request does not count as in flight. The exception are jobs of the same order, which wait for those before them.
 */
export class CreateQueue {
  private waiting: Entry[] = [];
  /** Calls in flight or about to start, without slow ones, and how many of them have not taken their jobs yet. */
  private calls = 0;
  private starting = 0;
  private slowCalls = 0;
  /** Number of jobs per order that are in flight or postponed. */
  private readonly busyOrders = new Map<string, number>();
  /** Jobs per order that are neither created nor refused yet. */
  private readonly unsettled = new Map<string, Set<Promise<Job>>>();
  private readonly putOff = new Map<NodeJS.Timeout, readonly Entry[]>();
  private closedWith: Error | null = null;

  constructor(
    private readonly transport: Transport,
    private readonly budgetMs: number,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  add(creation: Creation): Promise<Job> {
    const job = this.enqueue(creation);
    if (creation.order !== undefined) this.track(creation.order.key, job);
    return job;
  }

  /** Resolves when all jobs of an order requested so far are created or refused. */
  async settled(orderKey: string): Promise<void> {
    await Promise.allSettled([...(this.unsettled.get(orderKey) ?? [])]);
  }

  /** Rejects waiting and later jobs. Calls in flight end with the transport. */
  close(reason: Error): void {
    this.closedWith = reason;
    const entries = [...this.waiting, ...[...this.putOff.values()].flat()];
    for (const timer of this.putOff.keys()) clearTimeout(timer);
    this.putOff.clear();
    this.waiting = [];
    for (const entry of entries) entry.reject(reason);
  }

  private track(key: string, job: Promise<Job>): void {
    const jobs = this.unsettled.get(key) ?? new Set();
    this.unsettled.set(key, jobs.add(job));
    const forget = () => {
      jobs.delete(job);
      if (jobs.size === 0) this.unsettled.delete(key);
    };
    job.then(forget, forget);
  }

  private enqueue({ json, idempotencyKey = randomUUID(), trace, signal, order }: Creation): Promise<Job> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.closedWith !== null) return reject(this.closedWith);
      const entry: Entry = {
        json,
        bytes: Buffer.byteLength(json),
        trace,
        idempotencyKey,
        order,
        endsAtMs: monotonicMs() + this.budgetMs,
        failures: 0,
        mostTogether: JOBS_PER_CALL,
        isWithdrawn: false,
        resolve,
        reject,
      };
      if (signal !== undefined) this.listen(signal, entry);
      this.waiting.push(entry);
      this.wake();
    });
  }

  private listen(signal: AbortSignal, entry: Entry): void {
    const { resolve, reject } = entry;
    const ignore = onAbort(signal, () => {
      entry.isWithdrawn = true;
      this.waiting = this.waiting.filter((other) => other !== entry);
      reject(signal.reason);
    });
    entry.resolve = (job) => (ignore(), resolve(job));
    entry.reject = (error) => (ignore(), reject(error));
  }

  private wake(): void {
    if (this.waiting.length === 0 || this.calls + this.slowCalls >= MOST_CALLS) return;
    if (this.calls > 0 && (this.calls >= CALLS_IN_FLIGHT || this.waiting.length < FILL_BESIDE)) return;
    this.open();
  }

  private open(): void {
    this.calls += 1;
    this.starting += 1;
    queueMicrotask(() => this.start());
  }

  private start(): void {
    const batch = this.takeBatch(Math.ceil(this.waiting.length / this.starting));
    this.starting -= 1;
    if (batch.length === 0) {
      this.calls -= 1;
      return;
    }
    this.markBusy(batch, 1);
    let isSlow = false;
    const patience = setTimeout(() => {
      isSlow = true;
      this.calls -= 1;
      this.slowCalls += 1;
      this.wake();
    }, this.patienceMs).unref();
    void this.send(batch).then(() => {
      clearTimeout(patience);
      if (isSlow) this.slowCalls -= 1;
      else this.calls -= 1;
      this.markBusy(batch, -1);
      this.wake();
    });
    const [first] = batch;
    const isBesideOthers = first !== undefined && isSuspect(first) && this.waiting.length > 0;
    if (this.calls < CALLS_IN_FLIGHT && (isBesideOthers || this.waiting.length >= 2 * FILL_BESIDE)) this.open();
  }

  /** Jobs of a failed request are sent in parts, and never together with others. */
  private takeBatch(most: number): Entry[] {
    const batch: Entry[] = [];
    const left: Entry[] = [];
    const taken = new Map<string, CreationOrder>();
    let limit = Math.min(most, JOBS_PER_CALL);
    let length = 0;
    let looked = 0;
    for (const entry of this.waiting) {
      const [first] = batch;
      if (first !== undefined && (batch.length >= limit || length + entry.bytes > CALL_LENGTH)) break;
      looked += 1;
      const goesAlong =
        first === undefined || (isSuspect(entry) === isSuspect(first) && batch.length < entry.mostTogether);
      if (!goesAlong || this.mustWait(entry, taken)) {
        left.push(entry);
        // Later jobs of its order stay behind it.
        if (entry.order !== undefined) taken.set(entry.order.key, HELD);
        continue;
      }
      batch.push(entry);
      length += entry.bytes;
      limit = Math.min(limit, entry.mostTogether);
      if (entry.order !== undefined) taken.set(entry.order.key, entry.order);
    }
    this.waiting = looked === this.waiting.length ? left : left.concat(this.waiting.slice(looked));
    return batch;
  }

  /** Two jobs of an order share a request only if a limit that refuses the first also refuses the second. */
  private mustWait({ order }: Entry, taken: ReadonlyMap<string, CreationOrder>): boolean {
    if (order === undefined) return false;
    const before = taken.get(order.key);
    return (
      this.busyOrders.has(order.key) || (before !== undefined && (before === HELD || before.limits !== order.limits))
    );
  }

  private markBusy(entries: readonly Entry[], change: 1 | -1): void {
    for (const { order } of entries) {
      if (order === undefined) continue;
      const count = (this.busyOrders.get(order.key) ?? 0) + change;
      if (count === 0) this.busyOrders.delete(order.key);
      else this.busyOrders.set(order.key, count);
    }
  }

  /** Never rejects: each entry is resolved, rejected or postponed. */
  private async send(batch: readonly Entry[]): Promise<void> {
    try {
      const [first] = batch;
      if (batch.length === 1 && first !== undefined) first.resolve(await this.createOne(first));
      else await this.createMany(batch);
    } catch (error) {
      this.takeFailure(batch, error);
    }
  }

  private async createOne({ json, idempotencyKey, trace }: Entry): Promise<Job> {
    const headers = { 'idempotency-key': idempotencyKey, ...trace };
    return (await this.transport.call<Job>({ ...CREATE_ONE, json, headers })).body;
  }

  private async createMany(batch: readonly Entry[]): Promise<void> {
    const jobs = batch.map(({ json, idempotencyKey, trace }) => withKey(json, idempotencyKey, trace));
    const json = `{"atomic":false,"jobs":[${jobs.join(',')}]}`;
    const reply = await this.transport.call<CreatedJobs>({ ...CREATE_MANY, json });
    if (batch.some(isSuspect)) this.trustMore(batch.length);
    const waitMs = retryDelayMs(1 + Math.max(...batch.map((entry) => entry.failures)), null);
    const again = batch.filter((entry, index) => !judge(entry, reply.body.jobs[index], waitMs));
    if (again.length > 0) this.comeBackLater(again, waitMs);
  }

  /** Handles a request that failed as a whole, perhaps because of one of its jobs. */
  private takeFailure(batch: readonly Entry[], error: unknown): void {
    if (this.closedWith !== null || !(error instanceof BatonError) || OF_THE_CALLER.has(error.code))
      return rejectAll(batch, this.closedWith ?? error);
    const isRetryable = isWorthAnotherTry(error, CREATE_MANY);
    if (!isRetryable && batch.length === 1) return rejectAll(batch, error);
    const failures = 1 + Math.max(...batch.map((entry) => entry.failures));
    const waitMs = isRetryable ? retryDelayMs(failures, error.retryAfterMs) : 0;
    const isInTime = (entry: Entry) => monotonicMs() + waitMs <= entry.endsAtMs;
    rejectAll(
      batch.filter((entry) => !isInTime(entry)),
      error,
    );
    // Too many requests is never the fault of a job; a coordinator that was briefly unavailable is most likely not
    // either.
    if (error.status !== 429) {
      const isOfOneJob = !isRetryable || error.status === 500 || failures > 1;
      const most = isOfOneJob ? Math.ceil(batch.length / DIVISOR) : Math.min(batch.length, JOBS_PER_CALL - 1);
      for (const entry of batch) entry.mostTogether = most;
    }
    const again = batch.filter(isInTime);
    if (again.length > 0) this.comeBackLater(again, waitMs);
  }

  private trustMore(arrived: number): void {
    const most = Math.min(JOBS_PER_CALL - 1, arrived * DIVISOR);
    for (const entry of this.waiting) if (isSuspect(entry)) entry.mostTogether = Math.max(entry.mostTogether, most);
  }

  /** They return together, before all jobs requested later, so that order is kept. */
  private comeBackLater(entries: readonly Entry[], waitMs: number): void {
    this.markBusy(entries, 1);
    const timer = setTimeout(() => {
      this.putOff.delete(timer);
      this.markBusy(entries, -1);
      for (const entry of entries) entry.failures += 1;
      this.waiting.unshift(...entries.filter((entry) => !entry.isWithdrawn));
      this.wake();
    }, waitMs);
    this.putOff.set(timer, entries);
  }
}

/** One attempt at each URL: retries wait outside the queue. */
const CREATE_ONE = { method: 'POST', path: '/jobs', expects: 'id', budgetMs: 0 } satisfies ApiRequest;
const CREATE_MANY = { method: 'POST', path: '/jobs/bulk', expects: 'jobs', budgetMs: 0 } satisfies ApiRequest;

/** Marks an order of which a job stays behind. */
const HELD: CreationOrder = { key: '', limits: '' };

function isSuspect(entry: Entry): boolean {
  return entry.mostTogether < JOBS_PER_CALL;
}

function rejectAll(entries: readonly Entry[], error: unknown): void {
  for (const entry of entries) entry.reject(error);
}

/** Resolves or rejects the entry; `false` when it must be sent again after `waitMs`. */
function judge(entry: Entry, answer: Job | ItemError | undefined, waitMs: number): boolean {
  if (answer !== undefined && !('code' in answer)) return (entry.resolve(answer), true);
  const error = answer ?? {
    code: 'internal' as const,
    detail: 'the answer to a bulk create held no word on this job',
  };
  if (TRY_AGAIN.has(error.code) && monotonicMs() + waitMs <= entry.endsAtMs) return false;
  entry.reject(itemRefusal(error));
  return true;
}

/** Inserts key and trace into the job's JSON text, without parsing it again. */
export function withKey(json: string, idempotencyKey: string, trace?: Trace): string {
  const traced = trace === undefined ? '' : `,${JSON.stringify(trace).slice(1, -1)}`;
  return `${json.slice(0, -1)},"idempotencyKey":${JSON.stringify(idempotencyKey)}${traced}}`;
}

/** The error of a refused item of a bulk answer, with the status that it would have had alone. */
export function itemRefusal(error: ItemError): BatonError {
  // A newer coordinator may send unknown codes.
  const status = (ERROR_STATUS as Partial<Record<string, number>>)[error.code] ?? 500;
  return new BatonError({ ...error, status });
}
