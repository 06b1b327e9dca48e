import * as protocol from '@baton/runner-sdk/protocol';
import { analyse } from '../../domain/analytics/report';
import { readStats } from '../../domain/analytics/stats';
import { visibleUser } from '../../domain/auth/caller';
import { endpoint, READERS, reply } from '../core/endpoint';

export const analyticsEndpoints = [
  endpoint({
    method: 'get',
    path: '/stats',
    summary: 'Read the current load: jobs by status, queue and type, rates, runners, and the last hour',
    roles: READERS,
    replies: { 200: protocol.stats },
    run: async ({ services, caller }) =>
      reply(200, { at: new Date().toISOString(), ...(await readStats(services.context, visibleUser(caller))) }),
  }),
  endpoint({
    method: 'get',
    path: '/analytics',
    summary:
      'Read statistics of what ended in the last hour, day, week or month, by queue, type, user or runner, and over time',
    roles: READERS,
    query: protocol.analyticsQuery,
    replies: { 200: protocol.analytics },
    run: async ({ services, caller, query }) => reply(200, await analyse(services.context, visibleUser(caller), query)),
  }),
];
