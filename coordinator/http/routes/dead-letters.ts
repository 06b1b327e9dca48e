import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { visibleUser } from '../../domain/auth/caller';
import { withinScope } from '../../domain/auth/scope';
import * as deadLetters from '../../domain/dead-letters/dead-letters';
import { patternOf } from '../../domain/jobs/fingerprint';
import { removeOlder } from '../../domain/retention/prune';
import type { JobRow } from '../../store/jobs';
import { type DeadLetterGroupRow, groups } from '../../store/views/dead-letters';
import * as views from '../../store/views/jobs';
import { applyBulk } from './bulk';
import { ADMINS, CLIENTS, endpoint, READERS, reply } from '../core/endpoint';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { orThrow } from '../core/problem';
import { renderJob, renderListedJob } from '../render/jobs';

const params = z.object({ id: protocol.id });

export const deadLetterEndpoints = [
  endpoint({
    method: 'get',
    path: '/dead-letters',
    scope: 'kept',
    summary: 'List dead letters, the jobs that failed for good, newest first',
    roles: READERS,
    query: protocol.listDeadLettersQuery,
    replies: { 200: protocol.deadLetterList },
    async run({ services, caller, query: { limit, cursor, ...filter } }) {
      const rows = await views.page(
        services.context.db,
        visibleUser(caller),
        withinScope(caller, { ...filter, status: ['failed' as const] }),
        readCursor(cursor, isUuid),
        limit + 1,
      );
      return replyPage(
        rows,
        limit,
        (row) => ({ ...renderListedJob(row), fingerprint: row.fingerprint }),
        (row) => row.id,
      );
    },
  }),
  endpoint({
    method: 'get',
    path: '/dead-letters/groups',
    scope: 'kept',
    summary: 'Group dead letters by error, largest groups first',
    roles: READERS,
    query: protocol.deadLetterGroupsQuery,
    replies: { 200: protocol.deadLetterGroups },
    async run({ services, caller, query: { limit, ...filter } }) {
      const rows = await groups(services.context.db, visibleUser(caller), withinScope(caller, filter), limit);
      return reply(200, { items: rows.map(renderGroup) });
    },
  }),
  endpoint({
    method: 'post',
    path: '/dead-letters/retry',
    scope: 'kept',
    summary: 'Retry all dead letters that match a filter or belong to a group',
    roles: CLIENTS,
    body: protocol.retryDeadLetters,
    audit: ['job.retried', 'jobs.retried', 'bulk.requested'],
    replies: { 200: protocol.bulkCount, 202: protocol.bulkOperation },
    run(call) {
      const { fingerprint, filter = {}, ...choice } = call.body;
      return applyBulk(
        call,
        'retry',
        {
          ...choice,
          filter: {
            ...filter,
            status: ['failed'],
            ...(fingerprint === undefined ? {} : { fingerprint: [fingerprint] }),
          },
        },
        {},
      );
    },
  }),
  endpoint({
    method: 'post',
    path: '/dead-letters/cleanup',
    summary: 'Delete permanently the dead letters older than a given age',
    roles: ADMINS,
    body: protocol.cleanupDeadLetters,
    audit: ['job.deleted', 'jobs.deleted'],
    replies: { 200: protocol.bulkCount },
    run: async ({ services, by, signal, body: { olderThanMs = 0 } }) =>
      reply(200, { count: await removeOlder(services.context, by, { status: ['failed'], olderThanMs }, signal) }),
  }),
  endpoint({
    method: 'get',
    path: '/dead-letters/:id',
    scope: 'job',
    summary: 'Read a dead letter',
    roles: READERS,
    params,
    replies: { 200: protocol.deadLetter },
    run: async ({ services, caller, params: { id } }) =>
      reply(200, renderDeadLetter(await deadLetters.find(services.context, visibleUser(caller), id))),
  }),
  endpoint({
    method: 'post',
    path: '/dead-letters/:id/retry',
    scope: 'job',
    summary: 'Retry a dead letter from its first attempt, optionally with new arguments',
    roles: CLIENTS,
    params,
    body: protocol.retryDeadLetter,
    takes: 'job',
    audit: ['job.retried'],
    replies: { 200: protocol.job },
    run: async ({ services, caller, by, params: { id }, body }) =>
      reply(
        200,
        renderJob(orThrow(await deadLetters.retryOne(services.context, visibleUser(caller), id, body.arguments, by))),
      ),
  }),
  endpoint({
    method: 'delete',
    path: '/dead-letters/:id',
    summary: 'Delete a dead letter permanently',
    roles: ADMINS,
    params,
    audit: ['job.deleted'],
    replies: { 204: z.null() },
    async run({ services, by, params: { id } }) {
      await deadLetters.removeOne(services.context, id, by);
      return reply(204, null);
    },
  }),
];

function renderDeadLetter(row: JobRow): protocol.DeadLetter {
  return { ...renderJob(row), fingerprint: row.fingerprint };
}

/** A list of groups shows only the start of a message; the job has all of it. */
const MOST_GROUP_MESSAGE = 1000;

function renderGroup({
  fingerprint,
  type,
  queue,
  error,
  count,
  firstAt,
  lastAt,
  jobId,
}: DeadLetterGroupRow): protocol.DeadLetterGroup {
  return {
    fingerprint,
    type,
    code: error.code ?? null,
    pattern: protocol.cleanText(patternOf(error.message), MOST_GROUP_MESSAGE),
    count,
    firstAt: firstAt.toISOString(),
    lastAt: lastAt.toISOString(),
    latest: { jobId, queue, message: protocol.cleanText(error.message, MOST_GROUP_MESSAGE) },
  };
}
