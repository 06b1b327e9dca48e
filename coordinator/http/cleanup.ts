import * as protocol from '@baton/runner-sdk/protocol';
import { countDue, removeOlder } from '../domain/retention/prune';
import { ADMINS, endpoint, OPERATORS, reply } from './endpoint';

export const cleanupEndpoints = [
  endpoint({
    method: 'get',
    path: '/cleanup',
    summary: 'Count the finished jobs that were kept long enough',
    roles: OPERATORS,
    replies: { 200: protocol.cleanupPreview },
    run: async ({ desk }) => reply(200, await countDue(desk.context)),
  }),
  endpoint({
    method: 'post',
    path: '/cleanup',
    summary: 'Delete for good the finished jobs that were kept long enough, or are so old',
    roles: ADMINS,
    body: protocol.cleanup,
    audit: ['job.deleted', 'jobs.deleted'],
    replies: { 200: protocol.bulkCount },
    run: async ({ desk, by, body }) => reply(200, { count: await removeOlder(desk.context, by, body) }),
  }),
];
