import * as protocol from '@baton/runner-sdk/protocol';
import { visibleUser } from '../../domain/auth/caller';
import { readRates } from '../../domain/limits/user-rate';
import type { UserRate } from '../../store/limits';
import { endpoint, READERS, reply } from '../core/endpoint';

export const rateLimitEndpoints = [
  endpoint({
    method: 'get',
    path: '/rate-limits',
    scope: 'kept',
    summary: 'Read how much of the limits on creating jobs a user has used',
    roles: READERS,
    query: protocol.rateLimitsQuery,
    replies: { 200: protocol.rateLimits },
    async run({ services, caller, query }) {
      const own = visibleUser(caller);
      const asked = query.userId ?? own;
      if (asked === null) return reply(200, {});
      const rates = await readRates(services.context, asked);
      // Another user looks like one without any jobs.
      return reply(
        200,
        Object.fromEntries(
          rates
            .filter(({ queue }) => caller.queues === null || caller.queues.includes(queue))
            .map((rate) => [
              rate.queue,
              render(own === null || own === asked ? rate : { ...rate, count: 0, resetAt: null }),
            ]),
        ),
      );
    },
  }),
];

function render({ max, count, resetAt }: UserRate): protocol.RateLimits[string] {
  return {
    limit: max,
    count,
    remaining: Math.max(0, max - count),
    resetAt: resetAt === null ? null : resetAt.toISOString(),
  };
}
