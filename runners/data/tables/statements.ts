import { NonRetryableError } from '@baton/runner-sdk';
import type { Client } from 'pg';
import type { TableSink } from '../jobs';
import type { Row } from '../tools';
import type { Statement } from './apply';
import { columnsOf, quoted, quotedTable } from './database';

/** Finds rows that a table cannot contain, before anything is sent. */
export type Check = (row: Row) => string | null;

/** Inserts rows converted by the table's types: PostgreSQL converts texts to numbers and times. */
export async function insertInto(client: Client, sink: TableSink): Promise<{ insert: Statement; check: Check }> {
  const known = new Set(await columnsOf(client, sink.table));
  if (sink.onConflict === 'update' && sink.key === undefined)
    throw new NonRetryableError('onConflict: "update" needs a key', { code: 'invalid_arguments' });
  for (const name of sink.key ?? [])
    if (!known.has(name))
      throw new NonRetryableError(`${sink.table} has no column ${name}`, { code: 'data_bad_table' });
  return {
    check: (row) => {
      const names = Object.keys(row);
      if (names.length === 0) return 'has no columns';
      const foreign = names.find((name) => !known.has(name));
      return foreign === undefined
        ? null
        : `${sink.table} has no column ${JSON.stringify(foreign)} that can be written`;
    },
    insert: async (rows) => {
      let changed = 0;
      // Columns missing in a row get their defaults.
      for (const [names, alike] of byColumns(rows)) changed += await insertAlike(client, sink, names, alike);
      return changed;
    },
  };
}

/** Deletes, or only counts, the rows with these keys. */
export function deleteFrom(client: Client, table: string, key: string[], isDryRun: boolean): Statement {
  const keys = `SELECT DISTINCT ${key.map(quoted).join(', ')} FROM jsonb_populate_recordset(NULL::${quotedTable(table)}, $1::jsonb)`;
  const same = key.map((name) => `t.${quoted(name)} = k.${quoted(name)}`).join(' AND ');
  const text = isDryRun
    ? `SELECT count(*)::int AS count FROM ${quotedTable(table)} AS t JOIN (${keys}) AS k ON ${same}`
    : `WITH gone AS (DELETE FROM ${quotedTable(table)} AS t USING (${keys}) AS k WHERE ${same} RETURNING 1)
       SELECT count(*)::int AS count FROM gone`;
  return async (rows) => countOf(client, text, rows);
}

async function insertAlike(
  client: Client,
  { table, key, onConflict }: TableSink,
  names: string[],
  rows: Row[],
): Promise<number> {
  const list = names.map(quoted).join(', ');
  const others = names.filter((name) => key?.includes(name) !== true);
  const target = key === undefined ? '' : `(${key.map(quoted).join(', ')})`;
  const conflict = {
    reject: '',
    skip: `ON CONFLICT ${target} DO NOTHING`,
    update:
      others.length === 0
        ? `ON CONFLICT ${target} DO NOTHING`
        : `ON CONFLICT ${target} DO UPDATE SET ${others.map((name) => `${quoted(name)} = excluded.${quoted(name)}`).join(', ')}`,
  }[onConflict];
  return countOf(
    client,
    `WITH written AS (INSERT INTO ${quotedTable(table)} (${list})
       SELECT ${list} FROM jsonb_populate_recordset(NULL::${quotedTable(table)}, $1::jsonb) ${conflict} RETURNING 1)
     SELECT count(*)::int AS count FROM written`,
    rows,
  );
}

async function countOf(client: Client, text: string, rows: Row[]): Promise<number> {
  const result = await client.query<{ count: number }>(text, [JSON.stringify(rows)]);
  return result.rows[0]?.count ?? 0;
}

/** Groups consecutive rows with the same columns. */
function byColumns(rows: Row[]): [names: string[], rows: Row[]][] {
  const groups: [string[], Row[]][] = [];
  let last = '';
  for (const row of rows) {
    const names = Object.keys(row);
    const mark = JSON.stringify(names);
    if (mark === last) groups.at(-1)?.[1].push(row);
    else groups.push([names, [row]]);
    last = mark;
  }
  return groups;
}
