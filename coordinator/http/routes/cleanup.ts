import * as protocol from '@baton/runner-sdk/protocol';
import { countDue, removeOlder } from '../../domain/retention/prune';
import { ADMINS, endpoint, OPERATORS, reply } from '../core/endpoint';

export const cleanupEndpoints = [
  endpoint({
    method: 'get',
    path: '/cleanup',
    summary: 'Count the finished jobs whose retention has ended',
    roles: OPERATORS,
    replies: { 200: protocol.cleanupPreview },
    run: async ({ services }) => reply(200, await countDue(services.context)),
  }),
  endpoint({
    method: 'post',
    path: '/cleanup',
    summary: 'Delete permanently the finished jobs whose retention has ended, or that are older than a given age',
    roles: ADMINS,
    body: protocol.cleanup,
    audit: ['job.deleted', 'jobs.deleted'],
    replies: { 200: protocol.bulkCount },
    run: async ({ services, by, body, signal }) =>
      reply(200, { count: await removeOlder(services.context, by, body, signal) }),
  }),
];
