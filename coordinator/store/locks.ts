import { type Executor, sql } from './db';

/**
 * Locks these names until the transaction ends. Always in the same order, so that two batches do not deadlock. The
 * schema is part of the name, because advisory locks are those of the whole database.
 */
export async function lockNames(transaction: Executor, names: string[]): Promise<void> {
  if (names.length === 0) return;
  await transaction.query(sql`
    SELECT pg_advisory_xact_lock(l.lock) FROM (
      SELECT DISTINCT hashtextextended(current_schema() || '/' || n.name, 8271) AS lock
      FROM unnest(${names}::text[]) AS n (name) ORDER BY 1
    ) l`);
}
