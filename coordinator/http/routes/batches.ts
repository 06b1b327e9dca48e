import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { addToBatch, type Added, createBatch, noBatch } from '../../domain/batches/create';
import { cancelBatch, findBatch, retryBatch, sealBatch } from '../../domain/batches/manage';
import { batchScope } from '../../domain/batches/scope';
import type { Caller } from '../../domain/auth/caller';
import type { CreateItem } from '../../domain/jobs/create';
import { type BatonError } from '../../errors';
import * as views from '../../store/views/batches';
import { mapInTurns } from '../../turns';
import { allOrThrow, readIdempotencyKey } from './create';
import { CLIENTS, endpoint, READERS, reply, type Reply } from '../core/endpoint';
import { boundedWait } from '../core/limits';
import { LEASE_HEADERS, type Maker, makerOf, MAKERS, ownerIn } from '../core/maker';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { invalid } from '../core/problem';
import type { Services } from '../core/services';
import { readTrace } from '../core/trace-headers';

const params = z.object({ id: protocol.id });
const CREATES = { none: 'batches and their jobs themselves tell when they were created, and for whom' };
const KEY =
  'A key of your own for this request, 1 to 255 visible ASCII characters. Repeating the request with the same key and body creates nothing anew and is answered with 200; another body is refused with `idempotency_conflict`.';

export const batchEndpoints = [
  endpoint({
    method: 'post',
    path: '/batches',
    scope: 'kept',
    summary: 'Create a batch: many jobs that are handled as one',
    roles: MAKERS,
    headers: { 'Idempotency-Key': KEY, ...LEASE_HEADERS },
    body: protocol.createBatch,
    takes: 'list',
    audit: CREATES,
    replies: { 201: protocol.createdBatch, 200: protocol.createdBatch },
    async run({ services, caller, body, header }) {
      const { jobs, onSuccess, onFailure, onComplete, ...about } = body;
      const maker = await makerOf(services, caller, header);
      const items = await readItems(caller, jobs, readTrace(header('traceparent'), header('tracestate')));
      const key = readIdempotencyKey(header('idempotency-key'));
      const callbacks = present({ onSuccess, onFailure, onComplete });
      for (const job of [...items.map((item) => item.job), ...Object.values(callbacks)]) ownerIn(maker, job.userId);
      const wanted = { ...about, userId: ownerIn(maker, about.userId), jobs: items, callbacks };
      return replyMade(services, maker, await createBatch(services.context, caller, wanted, key));
    },
  }),
  endpoint({
    method: 'get',
    path: '/batches',
    scope: 'kept',
    summary: 'List batches, newest first',
    roles: READERS,
    query: protocol.listBatchesQuery,
    replies: { 200: protocol.batchList },
    async run({ services, caller, query: { limit, cursor, ...filter } }) {
      const { db } = services.context;
      const before = readCursor(cursor, isUuid);
      const rows = await views.pageOfBatches(db, batchScope(caller), filter, before, limit + 1);
      return replyPage(rows, limit, render, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/split',
    scope: 'kept',
    summary: 'Cut a list into jobs of a batch, each with `arguments` of `{items, index}`',
    roles: MAKERS,
    headers: { 'Idempotency-Key': KEY, ...LEASE_HEADERS },
    body: protocol.splitJob,
    takes: 'list',
    audit: CREATES,
    replies: { 201: protocol.createdBatch, 200: protocol.createdBatch },
    async run({ services, caller, body, header }) {
      const { name, onSuccess, onFailure, onComplete, ...list } = body;
      const maker = await makerOf(services, caller, header);
      const trace = readTrace(header('traceparent'), header('tracestate'));
      const key = readIdempotencyKey(header('idempotency-key'));
      const callbacks = present({ onSuccess, onFailure, onComplete });
      for (const job of Object.values(callbacks)) ownerIn(maker, job.userId);
      const wanted = {
        name,
        userId: ownerIn(maker, list.userId),
        sealed: true,
        jobs: partsOf(list).map((job): CreateItem => ({ caller, job, trace })),
        callbacks,
      };
      return replyMade(services, maker, await createBatch(services.context, caller, wanted, key));
    },
  }),
  endpoint({
    method: 'get',
    path: '/batches/:id',
    scope: 'kept',
    summary: 'Read a batch with the counts of its jobs',
    roles: READERS,
    params,
    replies: { 200: protocol.batch },
    run: async ({ services, caller, params: { id } }) =>
      reply(200, render(await findBatch(services.context, caller, id))),
  }),
  endpoint({
    method: 'post',
    path: '/batches/:id/jobs',
    scope: 'kept',
    summary: 'Add up to 1,000 jobs to a batch that is open, all or none',
    roles: CLIENTS,
    params,
    headers: { 'Idempotency-Key': KEY },
    body: protocol.addBatchJobs,
    takes: 'list',
    audit: CREATES,
    replies: { 201: protocol.createdBatch, 200: protocol.createdBatch },
    async run({ services, caller, params: { id }, body, header }) {
      const items = await readItems(caller, body.jobs, readTrace(header('traceparent'), header('tracestate')));
      const key = readIdempotencyKey(header('idempotency-key'));
      return replyAdded(services, caller, await addToBatch(services.context, caller, id, items, key));
    },
  }),
  endpoint({
    method: 'post',
    path: '/batches/:id/seal',
    scope: 'kept',
    summary: 'Seal a batch: no more jobs can be added, and it ends with the last of its jobs',
    roles: CLIENTS,
    params,
    audit: CREATES,
    replies: { 200: protocol.batch },
    async run({ services, caller, params: { id } }) {
      await sealBatch(services.context, caller, id);
      return reply(200, render(await findBatch(services.context, caller, id)));
    },
  }),
  endpoint({
    method: 'post',
    path: '/batches/:id/cancel',
    scope: 'kept',
    summary: 'Cancel a batch: seal it, and cancel its unfinished jobs',
    roles: CLIENTS,
    params,
    body: protocol.cancelBatch,
    audit: ['batch.cancelled'],
    replies: { 200: protocol.batch },
    async run({ services, caller, by, params: { id }, body }) {
      await cancelBatch(services.context, { caller, by }, id, body.reason ?? null);
      return reply(200, render(await findBatch(services.context, caller, id)));
    },
  }),
  endpoint({
    method: 'post',
    path: '/batches/:id/retry',
    scope: 'kept',
    summary: 'Retry the failed jobs of a batch; it runs again until they have ended',
    roles: CLIENTS,
    params,
    body: protocol.retryBatch,
    audit: ['job.retried', 'jobs.retried', 'bulk.requested'],
    replies: { 200: protocol.retriedBatch },
    async run({ services, caller, by, params: { id }, body }) {
      const retried = await retryBatch(services.context, { caller, by }, id, body.background);
      return reply(200, { ...render(await findBatch(services.context, caller, id)), retried });
    },
  }),
  endpoint({
    method: 'get',
    path: '/batches/:id/results',
    scope: 'kept',
    summary: 'List the results of the jobs of a batch, in the order in which they were added',
    roles: READERS,
    params,
    query: protocol.listResultsQuery,
    replies: { 200: protocol.batchResultList },
    async run({ services, caller, params: { id }, query: { limit, cursor } }) {
      const batch = await findBatch(services.context, caller, id);
      const rows = await views.pageOfResults(services.context.db, batch.id, readCursor(cursor, isUuid), limit + 1);
      return replyPage(rows, limit, renderResult, (row) => row.id);
    },
  }),
  endpoint({
    method: 'get',
    path: '/batches/:id/wait',
    scope: 'kept',
    summary: 'Wait for a batch: read it once it has ended, or when the wait times out',
    roles: READERS,
    params,
    query: protocol.waitBatchQuery,
    replies: { 200: protocol.batch },
    async run(call) {
      const { services, caller, params: at } = call;
      const waitMs = call.isHead ? 0 : boundedWait(call.query.waitMs);
      if (waitMs > 0) call.park();
      const batch = await services.waitingReads.readUntil(at.id, {
        waitMs,
        signal: call.signal,
        read: () => findBatch(services.context, caller, at.id),
        hasEnded: ({ finishedAt }) => finishedAt !== null,
      });
      return reply(200, render(batch));
    },
  }),
];

async function readItems(caller: Caller, jobs: unknown[], trace: string | undefined): Promise<CreateItem[]> {
  const read = await mapInTurns(jobs, (sent): CreateItem | BatonError => {
    const one = protocol.batchJob.safeParse(sent);
    if (!one.success) return invalid('job', protocol.batchJob, sent, one.error);
    const { traceparent, tracestate, ...job } = one.data;
    return { caller, job, trace: readTrace(traceparent, tracestate) ?? trace };
  });
  return allOrThrow(read);
}

function partsOf({
  items,
  batchSize,
  arguments: own,
  ...job
}: Omit<protocol.SplitJob, 'name' | protocol.BatchCallback>) {
  return Array.from({ length: Math.ceil(items.length / batchSize) }, (_, index): protocol.NewJob => ({
    ...job,
    onConflict: 'keep',
    arguments: {
      ...(own as object | undefined),
      items: items.slice(index * batchSize, (index + 1) * batchSize),
      index,
    },
  }));
}

function present(callbacks: Partial<Record<protocol.BatchCallback, protocol.NewJob | undefined>>) {
  return Object.fromEntries(Object.entries(callbacks).filter(([, job]) => job !== undefined)) as Partial<
    Record<protocol.BatchCallback, protocol.NewJob>
  >;
}

/** A job is run again with other keys of runners, and finds the batch that it has begun by its user. */
async function replyMade(
  services: Services,
  { caller, job }: Maker,
  { id, jobIds, isRepeated }: Added,
): Promise<Reply> {
  if (job === null) return replyAdded(services, caller, { id, jobIds, isRepeated });
  const batch = await views.getBatch(services.context.db, { userId: job.userId, keyId: null }, id);
  if (batch === null) throw noBatch(id);
  return reply(isRepeated ? 200 : 201, { ...render(batch), jobIds });
}

async function replyAdded(services: Services, caller: Caller, { id, jobIds, isRepeated }: Added): Promise<Reply> {
  const batch = await findBatch(services.context, caller, id);
  return reply(isRepeated ? 200 : 201, { ...render(batch), jobIds });
}

function render(row: views.BatchRow): protocol.Batch {
  const { id, name, status, counts, callbacks, callbackJobs, callbackErrors, userId, metadata, reason } = row;
  const ended = counts.completed + counts.failed + counts.cancelled;
  const percent =
    counts.total === 0 ? (row.finishedAt === null ? 0 : 100) : Math.floor((1000 * ended) / counts.total) / 10;
  return {
    id,
    name,
    status,
    sealed: row.sealedAt !== null,
    counts,
    percent,
    callbacks: Object.fromEntries(
      protocol.batchCallback.options.flatMap((kind) =>
        callbacks[kind] === undefined ? [] : [[kind, callbackJobs[kind] ?? null]],
      ),
    ),
    callbackErrors,
    userId,
    metadata,
    reason,
    createdAt: row.createdAt.toISOString(),
    sealedAt: row.sealedAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
  };
}

function renderResult({ id, index, status, result, error }: views.BatchResultRow): protocol.BatchResult {
  return { jobId: id, index, status, result: result ?? null, error };
}
