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

/** Other fields of a create; `undefined` counts as left out. */
type JobSettings = Omit<CreateJob, 'type' | 'arguments'>;

/** The name of the batch, and the jobs that its end creates; see `POST /batches`. */
export interface BatchOptions extends Omit<CreateBatch, 'jobs' | 'sealed'>, AddOptions {}

export interface AddOptions {
  /** Applies to all of its jobs; overrides the definition's defaults. */
  jobs?: JobSettings | undefined;
  /** 1 to 200 visible ASCII characters; a repeated call with the same key creates nothing twice. Default: random. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A list to split into jobs of `batchSize` items; the other fields of a create are the same for all of them. */
export interface SplitOptions extends Omit<CreateJob, 'type' | 'uniqueKey' | 'uniqueForMs' | 'onConflict'> {
  batchSize: number;
  /** Name of the batch. */
  name?: string | undefined;
  onSuccess?: CreateJob | undefined;
  onFailure?: CreateJob | undefined;
  onComplete?: CreateJob | undefined;
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Most jobs per request. */
const PART = 1000;
/** In characters: at most three bytes each, of the 16 MiB that a call takes. */
const PART_LENGTH = 5_000_000;
const WAIT_MS = 45_000;

/** Batches: many jobs that are counted, cancelled and retried together, with jobs that run when all have ended. */
export class Batches {
  constructor(private readonly send: Send) {}

  /**
   * Creates a batch of up to 100,000 jobs, one for each of the arguments, and seals it. Large batches are sent in
   * parts; a repeated call with the same `idempotencyKey`, even after a crash, continues where the first one stopped
   * and creates no job twice. Arguments that do not match the definition throw `BatonError` `invalid_arguments` before
   * anything is sent.
   * @param jobs other fields of a create, the same for all jobs
   * @returns the batch, with the ids of its jobs in order
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
      // By index in the list, which is the same in a repeated call.
      const key = `${idempotencyKey}.${at}`;
      at += part.length;
      const request = created(`${pathOf(batch.id)}/jobs`, bodyOf({}, part), key, signal);
      jobIds.push(...(await this.send<CreatedBatch>(request)).jobIds);
    }
    return { ...(await this.seal(batch.id)), jobIds };
  }

  /** Creates an open batch, to which jobs can be added until it is sealed. */
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

  /** Seals it: no more jobs can be added, and it ends with its last job. */
  seal(id: string): Promise<Batch> {
    return this.send({ method: 'POST', path: `${pathOf(id)}/seal` });
  }

  /**
   * Splits `items` into jobs of `batchSize` items; the arguments of each have `items` and `index` beside the given
   * ones.
   */
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

  /** Seals it and cancels its unfinished jobs. Throws `BatonError` `state_conflict` when it has ended. */
  cancel(id: string, reason?: string): Promise<Batch> {
    return this.send({
      method: 'POST',
      path: `${pathOf(id)}/cancel`,
      body: reason === undefined ? {} : { reason },
    });
  }

  /** Retries its failed jobs; it runs again until they have ended. */
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

  /**
   * Waits until the batch has ended. Throws `BatonError` `wait_timeout` when `timeoutMs` passes first; default: no
   * limit.
   */
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

/** The body of `POST /batches` for a sealed batch of these jobs, at most 1,000 of them. */
export async function batchJson(
  name: string,
  target: string | JobDefinition,
  list: readonly unknown[],
  { jobs, ...about }: Omit<BatchOptions, 'name' | 'idempotencyKey' | 'signal'> = {},
): Promise<string> {
  return bodyOf({ ...about, name, sealed: true }, await jobTexts(target, list, jobs));
}

async function jobTexts(target: string | JobDefinition, list: readonly unknown[], settings: object = {}) {
  const definition = definitionOf(target);
  await assertAll(definition, list);
  const rest = settingsJson(definition, settings);
  return list.map((args) => creationJson(definition, args, rest));
}

/** Splits the jobs by the number and the length that a call takes. */
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

/** The keys of parts are the key with an index appended. */
function assertIsBatchKey(key: string): void {
  assertIsKey(`${key}.${MOST_BATCH_JOBS}`, key);
}
