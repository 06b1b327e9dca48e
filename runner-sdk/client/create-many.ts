import { itemRefusal, withKey } from './create-queue';
import { BatonError } from '../transport/errors';
import type { ApiRequest } from '../transport/transport';
import type { CreatedJobs, Job } from '../protocol';
import type { Trace } from '../transport/tracing';

/** Most jobs that the coordinator takes in one request. */
const JOBS_PER_REQUEST = 1000;
const MIB = 1024 * 1024;
const BYTES_PER_REQUEST = 16 * MIB;
/** Non-atomic requests have about this size, which proxies accept. */
const BYTES_PER_PART = 1_000_000;
/** Errors that all further jobs would fail with as well. */
const OF_ALL = new Set(['unreachable', 'unavailable', 'unauthenticated', 'forbidden']);

type Send = (request: ApiRequest) => Promise<CreatedJobs>;

export interface ManyCreates {
  /** Each job as JSON text, without a key. */
  jobs: readonly string[];
  idempotencyKey: string;
  trace: Trace | undefined;
  signal: AbortSignal | undefined;
}

/** Creates all or none, in one request. Throws `BatonError` `payload_too_large` when it would be too large for one. */
export async function createAllOrNone(
  send: Send,
  { jobs, idempotencyKey, trace, signal }: ManyCreates,
): Promise<Job[]> {
  const json = `{"atomic":true,"jobs":[${jobs.join(',')}]}`;
  const bytes = Buffer.byteLength(json);
  if (jobs.length > JOBS_PER_REQUEST || bytes > BYTES_PER_REQUEST) {
    throw new BatonError({
      code: 'payload_too_large',
      status: 0,
      detail:
        `${jobs.length} jobs of ${(bytes / MIB).toFixed(1)} MiB do not fit into one request, which all or none needs: ` +
        `at most ${JOBS_PER_REQUEST} jobs and ${BYTES_PER_REQUEST / MIB} MiB; nothing was sent. ` +
        'With atomic: false they are split into several',
    });
  }
  const headers = { 'idempotency-key': idempotencyKey, ...trace };
  const reply = await send({ ...request(json, signal), headers });
  return reply.jobs as Job[];
}

/**
 * Creates each job on its own, in as many requests as needed. A failed request gives its error for each of its jobs;
 * when no request succeeds, the error is thrown.
 */
export function createEach(
  send: Send,
  { jobs, idempotencyKey, trace, signal }: ManyCreates,
): Promise<(Job | BatonError)[]> {
  // Jobs that are created on their own need keys of their own.
  const keyed = jobs.map((json, index) => withKey(json, `${idempotencyKey}.${index}`));
  return createKeyed(send, { keyed, trace, signal });
}

/** The same for jobs whose JSON text already has a key. */
export async function createKeyed(
  send: Send,
  { keyed, trace, signal }: Pick<ManyCreates, 'trace' | 'signal'> & { keyed: readonly string[] },
): Promise<(Job | BatonError)[]> {
  const made: (Job | BatonError)[] = [];
  let succeeded = false;
  let ofAll: BatonError | null = null;
  for (const part of parts(keyed)) {
    const answer: CreatedJobs['jobs'] | BatonError =
      ofAll ??
      (await attempt(send, {
        ...request(`{"atomic":false,"jobs":[${part.join(',')}]}`, signal),
        ...(trace && { headers: { ...trace } }),
      }));
    if (answer instanceof BatonError) {
      if (OF_ALL.has(answer.code)) ofAll = answer;
      for (const _job of part) made.push(answer);
    } else {
      succeeded = true;
      for (const job of answer) made.push('code' in job ? itemRefusal(job) : job);
    }
  }
  const [first] = made;
  if (!succeeded && first instanceof BatonError) throw first;
  return made;
}

async function attempt(send: Send, toSend: ApiRequest): Promise<CreatedJobs['jobs'] | BatonError> {
  try {
    return (await send(toSend)).jobs;
  } catch (error) {
    if (error instanceof BatonError) return error;
    throw error;
  }
}

function request(json: string, signal: AbortSignal | undefined): ApiRequest {
  return { method: 'POST', path: '/jobs/bulk', json, expects: 'jobs', ...(signal && { signal }) };
}

function parts(jobs: readonly string[]): string[][] {
  const all: string[][] = [];
  let part: string[] = [];
  let bytes = 0;
  for (const json of jobs) {
    const size = Buffer.byteLength(json);
    if (part.length > 0 && (part.length === JOBS_PER_REQUEST || bytes + size > BYTES_PER_PART)) {
      all.push(part);
      part = [];
      bytes = 0;
    }
    part.push(json);
    bytes += size;
  }
  if (part.length > 0) all.push(part);
  return all;
}
