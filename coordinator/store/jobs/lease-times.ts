import { DEADLINE_FACTOR } from '@baton/runner-sdk/protocol';
import { Prisma } from '../../generated/prisma/client';
import { type Sql, sql } from '../db';

/** When a lease that begins now ends unless it is extended, and its attempt for good. Expressions, of columns or parameters. */
export function leaseTimes(now: Sql, leaseMs: Sql, timeoutMs: Sql): { leaseExpiresAt: Sql; deadlineAt: Sql } {
  const deadlineMs = sql`${timeoutMs} * ${Prisma.raw(String(DEADLINE_FACTOR))}`;
  return {
    leaseExpiresAt: sql`${now} + LEAST(${leaseMs}, ${deadlineMs}) * interval '1 ms'`,
    deadlineAt: sql`${now} + ${deadlineMs} * interval '1 ms'`,
  };
}
