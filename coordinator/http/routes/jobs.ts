import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { visibleUser } from '../../domain/auth/caller';
import { withinScope } from '../../domain/auth/scope';
import { cancel } from '../../domain/jobs/cancel';
import { edit } from '../../domain/jobs/edit';
import { estimate } from '../../domain/insight/estimate';
import { explain } from '../../domain/insight/explain';
import { removeOne } from '../../domain/jobs/remove';
import { retryByHand } from '../../domain/jobs/retry-by-hand';
import { isFinished } from '../../domain/jobs/transitions';
import { BatonError } from '../../errors';
import type { JobRow } from '../../store/jobs';
import * as views from '../../store/views/jobs';
import { ADMINS, type Call, CLIENTS, endpoint, READERS, reply } from '../core/endpoint';
import { boundedWait } from '../core/limits';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { orThrow } from '../core/problem';
import { renderAttempt, renderLog } from '../render/attempts';
import { renderJob, renderListedJob } from '../render/jobs';

const params = z.object({ id: protocol.id });

export const jobEndpoints = [
  endpoint({
    method: 'get',
    path: '/jobs',
    scope: 'kept',
    summary: 'List jobs, newest first',
    roles: READERS,
    query: protocol.listJobsPageQuery,
    replies: { 200: z.union([protocol.jobList, protocol.partialJobList]) },
    async run({ services, caller, query }) {
      const { limit, cursor, fields, ...filter } = query;
      const before = readCursor(cursor, isUuid);
      const rows = await views.page(
        services.context.db,
        visibleUser(caller),
        withinScope(caller, filter),
        before,
        limit + 1,
        {
          whole: protocol.largeField.options.filter((name) => fields?.includes(name) === true),
          unwanted: fields === undefined ? [] : protocol.largeField.options.filter((name) => !fields.includes(name)),
        },
      );
      return replyPage(
        rows,
        limit,
        (row) => renderListedJob(row, fields),
        (row) => row.id,
      );
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/count',
    scope: 'kept',
    summary: 'Count the jobs that match, exactly up to a bound',
    roles: READERS,
    query: protocol.countJobsQuery,
    replies: { 200: protocol.jobCount },
    async run({ services, caller, query: { most, ...filter } }) {
      const found = await views.count(services.context.db, visibleUser(caller), withinScope(caller, filter), most + 1);
      return reply(200, { count: Math.min(found, most), isMore: found > most });
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id',
    scope: 'job',
    summary: 'Read a job',
    roles: READERS,
    params,
    replies: { 200: protocol.job },
    async run(call) {
      const job = await find(call);
      return reply(200, renderJob(job, await estimate(call.services.context, job)));
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id/attempts',
    scope: 'job',
    summary: "Read a job's attempts, oldest first",
    roles: READERS,
    params,
    query: protocol.listAttemptsQuery,
    replies: { 200: protocol.attemptList },
    async run(call) {
      const { limit, cursor } = call.query;
      const job = await find(call);
      const after = Number(readCursor(cursor, (key) => /^\d{1,9}$/.test(key)) ?? 0);
      const rows = await views.attempts(call.services.context.db, job.id, after, limit + 1);
      return replyPage(rows, limit, renderAttempt, (row) => String(row.attempt));
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id/logs',
    scope: 'job',
    summary: "Read a job's log lines, oldest first",
    roles: READERS,
    params,
    query: protocol.listLogsQuery,
    replies: { 200: protocol.logList },
    async run(call) {
      const { after = 0, level = 'debug', limit, cursor } = call.query;
      const job = await find(call);
      const from = Number(readCursor(cursor, (key) => /^\d{1,15}$/.test(key)) ?? after);
      const levels = protocol.logLevel.options.slice(protocol.logLevel.options.indexOf(level));
      const rows = await views.logs(call.services.context.db, job.id, from, levels, limit + 1);
      return replyPage(rows, limit, renderLog, (row) => row.seq);
    },
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id/explain',
    scope: 'job',
    summary: 'Explain why a job does not run',
    roles: READERS,
    params,
    replies: { 200: protocol.explanation },
    run: async (call) => reply(200, await explain(call.services.context, visibleUser(call.caller), await find(call))),
  }),
  endpoint({
    method: 'get',
    path: '/jobs/:id/wait',
    scope: 'job',
    summary: 'Wait for a job: read it once it has finished, or when the wait times out',
    roles: READERS,
    params,
    query: protocol.waitQuery,
    replies: { 200: protocol.job },
    async run(call) {
      const waitMs = call.isHead ? 0 : boundedWait(call.query.waitMs);
      if (waitMs > 0) call.park();
      const job = await call.services.waitingReads.readUntil(call.params.id, {
        waitMs,
        signal: call.signal,
        read: () => find(call),
        hasEnded: ({ status }) => isFinished(status),
      });
      return reply(200, renderJob(job));
    },
  }),
  endpoint({
    method: 'delete',
    path: '/jobs/:id',
    scope: 'job',
    summary: 'Cancel a job; with ?purge=true, delete a finished job permanently (admin)',
    roles: CLIENTS,
    params,
    query: z.strictObject({
      purge: z
        .enum(['true', 'false'])
        .optional()
        .describe('`true` deletes a finished job with its attempts and logs, instead of cancelling it. For admins.'),
    }),
    audit: ['job.cancelled', 'job.deleted'],
    replies: { 200: protocol.job, 204: z.null() },
    async run(call) {
      if (call.query.purge !== 'true') return cancelOne(call, null);
      if (!ADMINS.includes(call.caller.role))
        throw new BatonError('forbidden', 'Only a key of role admin may delete jobs.');
      const refused = await removeOne(call.services.context, call.params.id, call.by);
      if (refused !== null) throw refused;
      return reply(204, null);
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/cancel',
    scope: 'job',
    summary: 'Cancel a job; if it is running, its lease ends at once',
    roles: CLIENTS,
    params,
    body: protocol.cancelJob,
    audit: ['job.cancelled'],
    replies: { 200: protocol.job },
    run: (call) => cancelOne(call, call.body.reason ?? null),
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/retry',
    scope: 'job',
    summary: 'Retry a failed or cancelled job from its first attempt',
    roles: CLIENTS,
    params,
    audit: ['job.retried'],
    replies: { 200: protocol.job },
    async run({ services, caller, by, params: { id } }) {
      const [job] = await retryByHand(services.context, [{ jobId: id, userId: visibleUser(caller) }], by);
      return reply(200, renderJob(orThrow(job)));
    },
  }),
  endpoint({
    method: 'post',
    path: '/jobs/:id/run-now',
    scope: 'job',
    summary: 'Make a waiting job due now',
    roles: CLIENTS,
    params,
    audit: ['job.edited'],
    replies: { 200: protocol.job },
    async run({ services, caller, by, params: { id } }) {
      return reply(
        200,
        renderJob(orThrow(await edit(services.context, { jobId: id, userId: visibleUser(caller), runNow: true }, by))),
      );
    },
  }),
  endpoint({
    method: 'patch',
    path: '/jobs/:id',
    scope: 'job',
    summary: 'Change priority, runAt or tags of a job that is not running yet',
    roles: CLIENTS,
    params,
    body: protocol.editJob,
    audit: ['job.edited'],
    replies: { 200: protocol.job },
    async run({ services, caller, by, params: { id }, body }) {
      return reply(
        200,
        renderJob(orThrow(await edit(services.context, { jobId: id, userId: visibleUser(caller), ...body }, by))),
      );
    },
  }),
];

async function find({
  services,
  caller,
  params: { id },
}: Call<typeof params, z.ZodType | undefined, z.ZodType | undefined>): Promise<JobRow> {
  const job = await views.get(services.context.db, visibleUser(caller), id);
  if (job === null) throw new BatonError('not_found', `There is no job with id ${id}.`);
  return job;
}

async function cancelOne(
  { services, caller, by, params: { id } }: Call<typeof params, z.ZodType | undefined, z.ZodType | undefined>,
  reason: string | null,
) {
  const [job] = await cancel(services.context, [{ jobId: id, userId: visibleUser(caller), reason }], by);
  return reply(200, renderJob(orThrow(job)));
}
