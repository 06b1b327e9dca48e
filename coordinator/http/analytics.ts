import * as protocol from '@baton/runner-sdk/protocol';
import { analyse } from '../domain/analytics/report';
import { readStats } from '../domain/analytics/stats';
import { visibleUser } from '../domain/auth/caller';
import { endpoint, READERS, reply } from './endpoint';

export const analyticsEndpoints = [
  endpoint({
    method: 'get',
    path: '/stats',
    summary: 'Tell how it stands now: jobs by status, queue and type, rates, runners, and how the last hour went',
    roles: READERS,
    replies: { 200: protocol.stats },
    run: async ({ desk, caller }) =>
      reply(200, { at: new Date().toISOString(), ...(await readStats(desk.context, visibleUser(caller))) }),
  }),
  endpoint({
    method: 'get',
    path: '/analytics',
    summary: 'Tell what ended within the last hour, day, week or month, by queue, type, user or runner, and over time',
    roles: READERS,
    query: protocol.analyticsQuery,
    replies: { 200: protocol.analytics },
    run: async ({ desk, caller, query }) => reply(200, await analyse(desk.context, visibleUser(caller), query)),
  }),
];
