import { type Executor, sql } from './db';

/**
 * Keeps every other transaction that locks one of these names waiting until this one ends. In one order, so that two
 * batches do not deadlock. The schema is part of the name, because locks are those of the whole database.
 */
export async function lockNames(transaction: Executor, names: string[]): Promise<void> {
  if (names.length === 0) return;
  await transaction.query(sql`
    SELECT pg_advisory_xact_lock(l.lock) FROM (
      SELECT DISTINCT hashtextextended(current_schema() || '/' || n.name, 8271) AS lock
      FROM unnest(${names}::text[]) AS n (name) ORDER BY 1
    ) l`);
}
