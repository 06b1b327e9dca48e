import type { Client } from 'pg';
import type { Row } from '../tools';
import type { Reject } from './positions';

export interface Numbered {
  /** Its row number in the source, from 1. */
  number: number;
  row: Row;
}

/** Applies some rows in one statement; returns how many were changed. */
export type Statement = (rows: Row[]) => Promise<number>;

/**
 * Applies rows together. When the database refuses them, halves are tried until the rows that it does not accept are
 * isolated. Call it within a transaction.
 */
export async function applyRows(
  client: Client,
  rows: Numbered[],
  statement: Statement,
): Promise<{ changed: number; rejects: Reject[] }> {
  if (rows.length === 0) return { changed: 0, rejects: [] };
  await client.query('SAVEPOINT rows');
  try {
    const changed = await statement(rows.map(({ row }) => row));
    await client.query('RELEASE SAVEPOINT rows');
    return { changed, rejects: [] };
  } catch (error) {
    if (!isOfRows(error)) throw error;
    await client.query('ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows');
    const [only] = rows;
    if (rows.length === 1 && only !== undefined)
      return { changed: 0, rejects: [{ row: only.number, reason: reasonOf(error), values: only.row }] };
  }
  const half = Math.ceil(rows.length / 2);
  const first = await applyRows(client, rows.slice(0, half), statement);
  const second = await applyRows(client, rows.slice(half), statement);
  return { changed: first.changed + second.changed, rejects: [...first.rejects, ...second.rejects] };
}

/**
 * SQLSTATE classes 22 and 23: a value or a constraint. 21000: a key twice in one statement. 44000: a view's check.
 * P0001: a trigger.
 */
function isOfRows(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(22...|23...|21000|44000|P0001)$/.test(code);
}

function reasonOf(error: unknown): string {
  const { message, detail } = error as { message: string; detail?: string };
  return detail === undefined ? message : `${message}: ${detail}`;
}
