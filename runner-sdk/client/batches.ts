import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { BatonError } from '../transport/errors';
import type { ApiRequest, Send } from '../transport/transport';
import {
  type Batch,
  type batchList,
  type BatchResult,
  type batchResultList,
  type BatchStatus,
  type CreateBatch,
  type CreatedBatch,
  type CreateJob,
  MOST_BATCH_JOBS,
} from '../protocol';
import { assertAll, assertIsKey, creationJson, definitionOf, settingsJson } from './creation';
import type { JobDefinition } from './define-job';
import { assertStrict, type Page } from './filters';
import type { InputOf, Schema } from './schema';

export type BatchPage = z.infer<typeof batchList>;
export interface BatchFilter {
  status?: BatchStatus | readonly BatchStatus[] | undefined;
  name?: string | readonly string[] | undefined;
  userId?: string | readonly string[] | undefined;
}

/** What else a create takes; `undefined`: as if left out. */
type JobSettings = Omit<CreateJob, 'type' | 'arguments'>;

/** What the batch is called, and the jobs that its end creates; see `POST /batches`. */
export interface BatchOptions extends Omit<CreateBatch, 'jobs' | 'sealed'>, AddOptions {}

export interface AddOptions {
  /** For all of its jobs; overrules the definition's defaults. */
  jobs?: JobSettings | undefined;
  /** 1 to 200 visible ASCII characters; the same call again makes nothing twice. Default: random. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A list to cut into jobs of `batchSize` items; what else a create takes is the same for all of them. */
export interface SplitOptions extends Omit<CreateJob, 'type' | 'uniqueKey' | 'uniqueForMs' | 'onConflict'> {
  batchSize: number;
  /** What the batch is called. */
  name?: string | undefined;
  onSuccess?: CreateJob | undefined;
  onFailure?: CreateJob | undefined;
  onComplete?: CreateJob | undefined;
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** So many jobs travel in a request. */
const PART = 1000;
/** Characters: at most three bytes each, of the 16 MiB that a call takes. */
const PART_LENGTH = 5_000_000;
const WAIT_MS = 45_000;

/** Many jobs that are handled as one: counted, cancelled and retried together, with jobs that run when all have ended. */
export class Batches {
  constructor(private readonly send: Send) {}

  /**
   * Creates a batch of up to 100,000 jobs, one for each of the arguments, and seals it. Many are sent in parts; a call that is
   * made again under its `idempotencyKey`, after a crash too, goes on where the first one stopped and makes no job twice.
   * Arguments that do not fit the definition throw `BatonError` `invalid_arguments` before anything is sent.
   * @param jobs what else a create takes, the same for all of them
   * @returns the batch, with the ids of its jobs in their order
   */
  create<Arguments extends Schema>(
    definition: JobDefinition<Arguments>,
    list: readonly InputOf<Arguments>[],
    options?: BatchOptions,
  ): Promise<CreatedBatch>;
  create(type: string, list: readonly unknown[], options?: BatchOptions): Promise<CreatedBatch>;
  async create(
    target: string | JobDefinition,
    list: readonly unknown[],
    options: BatchOptions = {},
  ): Promise<CreatedBatch> {
    const { idempotencyKey = randomUUID(), signal, jobs, ...about } = options;
    assertIsBatchKey(idempotencyKey);
    const texts = await jobTexts(target, list, jobs);
    const [first = [], ...rest] = partsOf(texts);
    const isWhole = rest.length === 0;
    const body = bodyOf({ ...about, sealed: isWhole }, first);
    const batch = await this.send<CreatedBatch>(created('/batches', body, idempotencyKey, signal));
    if (isWhole) return batch;
    const jobIds = [...batch.jobIds];
    let at = first.length;
    for (const part of rest) {
      // By its place in the list, which the same call again finds unchanged.
      const key = `${idempotencyKey}.${at}`;
      at += part.length;
      const request = created(`${pathOf(batch.id)}/jobs`, bodyOf({}, part), key, signal);
      jobIds.push(...(await this.send<CreatedBatch>(request)).jobIds);
    }
    return { ...(await this.seal(batch.id)), jobIds };
  }

  /** An open batch, to which jobs are added until it is sealed. */
  async open(options: Omit<BatchOptions, 'jobs'> = {}): Promise<Batch> {
    const { idempotencyKey = randomUUID(), signal, ...about } = options;
    assertIsBatchKey(idempotencyKey);
    return this.send(created('/batches', bodyOf({ ...about, sealed: false }, []), idempotencyKey, signal));
  }

  /** Adds up to 1,000 jobs to an open batch, all or none. */
  add<Arguments extends Schema>(
    id: string,
    definition: JobDefinition<Arguments>,
    list: readonly InputOf<Arguments>[],
    options?: AddOptions,
  ): Promise<CreatedBatch>;
  add(id: string, type: string, list: readonly unknown[], options?: AddOptions): Promise<CreatedBatch>;
  async add(
    id: string,
    target: string | JobDefinition,
    list: readonly unknown[],
    options: AddOptions = {},
  ): Promise<CreatedBatch> {
    const { idempotencyKey = randomUUID(), signal, jobs } = options;
    assertIsBatchKey(idempotencyKey);
    const body = bodyOf({}, await jobTexts(target, list, jobs));
    return this.send(created(`${pathOf(id)}/jobs`, body, idempotencyKey, signal));
  }

  /** No more jobs can be added; it ends with the last of those it has. */
  seal(id: string): Promise<Batch> {
    return this.send({ method: 'POST', path: `${pathOf(id)}/seal` });
  }

  /** Cuts `items` into jobs of `batchSize` items, each with `arguments` of `{items, index}` beside those that are given. */
  async split(type: string, items: readonly unknown[], options: SplitOptions): Promise<CreatedBatch> {
    const { idempotencyKey = randomUUID(), signal, ...rest } = options;
    assertIsBatchKey(idempotencyKey);
    return this.send(created('/jobs/split', JSON.stringify({ ...rest, type, items }), idempotencyKey, signal));
  }

  /** Throws `BatonError` `not_found`. */
  get(id: string): Promise<Batch> {
    return this.send({ method: 'GET', path: pathOf(id) });
  }

  /** One page, newest first. */
  async list(filter: BatchFilter & Page = {}): Promise<BatchPage> {
    assertStrict('batches.list', filter);
    return this.send({ method: 'GET', path: '/batches', query: { ...filter } });
  }

  /** Seals it and cancels its unfinished jobs. One that has ended: `BatonError` `state_conflict`. */
  cancel(id: string, reason?: string): Promise<Batch> {
    return this.send({
      method: 'POST',
      path: `${pathOf(id)}/cancel`,
      body: reason === undefined ? {} : { reason },
    });
  }

  /** Starts its failed jobs again; it runs again until they have ended. */
  retry(id: string): Promise<Batch> {
    return this.send({ method: 'POST', path: `${pathOf(id)}/retry`, body: {} });
  }

  /** Results of its jobs, in the order in which they were added. */
  async *results(id: string): AsyncGenerator<BatchResult, void, undefined> {
    let cursor: string | null = null;
    do {
      const query: { limit: number; cursor?: string } = { limit: 500, ...(cursor !== null && { cursor }) };
      const page: z.infer<typeof batchResultList> = await this.send({
        method: 'GET',
        path: `${pathOf(id)}/results`,
        query,
      });
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== null);
  }

  /** The batch, once it has ended. Throws `BatonError` `wait_timeout` when `timeoutMs` is over first; default: no end. */
  async wait(
    id: string,
    options: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Batch> {
    const { timeoutMs = Infinity, signal } = options;
    const until = performance.now() + timeoutMs;
    for (;;) {
      const left = until - performance.now();
      const waitMs = Math.max(0, Math.min(WAIT_MS, Math.ceil(left)));
      const request: ApiRequest = { method: 'GET', path: `${pathOf(id)}/wait`, query: { waitMs } };
      const batch = await this.send<Batch>({ ...request, ...(signal && { signal }) });
      if (batch.finishedAt !== null) return batch;
      if (until <= performance.now())
        throw new BatonError({
          code: 'wait_timeout',
          status: 0,
          detail: `the batch ${id} has not ended within ${timeoutMs} ms: it is ${batch.status}`,
        });
    }
  }
}

async function jobTexts(target: string | JobDefinition, list: readonly unknown[], settings: object = {}) {
  const definition = definitionOf(target);
  await assertAll(definition, list);
  const rest = settingsJson(definition, settings);
  return list.map((args) => creationJson(definition, args, rest));
}

/** As many as a call takes, by their number and by their length. */
function partsOf(texts: readonly string[]): string[][] {
  const parts: string[][] = [];
  let length = 0;
  for (const text of texts) {
    const last = parts.at(-1);
    if (last === undefined || last.length === PART || length + text.length > PART_LENGTH) {
      parts.push([text]);
      length = text.length;
    } else {
      last.push(text);
      length += text.length;
    }
  }
  return parts;
}

function bodyOf(about: object, jobs: readonly string[]): string {
  const rest = JSON.stringify(about).slice(1, -1);
  return `{${rest}${rest === '' ? '' : ','}"jobs":[${jobs.join(',')}]}`;
}

function created(path: string, json: string, idempotencyKey: string, signal: AbortSignal | undefined): ApiRequest {
  return { method: 'POST', path, json, headers: { 'idempotency-key': idempotencyKey }, ...(signal && { signal }) };
}

function pathOf(id: string): string {
  return `/batches/${encodeURIComponent(id)}`;
}

/** Parts have the key with their place behind it. */
function assertIsBatchKey(key: string): void {
  assertIsKey(`${key}.${MOST_BATCH_JOBS}`, key);
}
