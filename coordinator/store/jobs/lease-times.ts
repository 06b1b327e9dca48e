import { DEADLINE_FACTOR } from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Sql, sql } from '../db';

/**
 * When a lease that starts now expires unless it is extended, and the deadline of its attempt. The parameters are
 * expressions of columns or parameters.
 */
export function leaseTimes(now: Sql, leaseMs: Sql, timeoutMs: Sql): { leaseExpiresAt: Sql; deadlineAt: Sql } {
  const deadlineMs = sql`${timeoutMs} * ${Prisma.raw(String(DEADLINE_FACTOR))}`;
  return {
    leaseExpiresAt: sql`${now} + LEAST(${leaseMs}, ${deadlineMs}) * interval '1 ms'`,
    deadlineAt: sql`${now} + ${deadlineMs} * interval '1 ms'`,
  };
}
