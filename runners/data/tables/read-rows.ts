import type { Client, QueryResult } from 'pg';
import type { TableSource } from '../jobs';
import type { Databases } from '../settings';
import type { Item, Row, Source } from '../tools';
import { columnsOf, connect, primaryKeyOf, quoted, quotedTable, told } from './database';

const TOGETHER = 1000;
const MARK = 'baton mark';
const OID = { bool: 16, int8: 20, int2: 21, int4: 23, float4: 700, float8: 701, json: 114, jsonb: 3802 };
const TIMESTAMPS = [1114, 1184];

export interface OpenTable extends Source {
  /** Whether rows have marks from which another attempt can continue. */
  hasMarks: boolean;
  close: () => Promise<void>;
}

/**
 * The rows of a table in one snapshot, ordered by the primary key if there is one.
 * @param after the mark of the last row that is done
 */
export async function openTable(databases: Databases, source: TableSource, after: unknown): Promise<OpenTable> {
  const client = await connect(databases, source, 'read');
  try {
    await client.query("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET extra_float_digits = 1");
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const columns = source.columns ?? (await allColumns(client, source.table));
    const key = await primaryKeyOf(client, source.table);
    const total = await estimate(client, source);
    await declare(client, source, columns, key, after);
    let read = 0;
    return {
      ...{ version: '', columns, hasMarks: key.length > 0 },
      items: counted(fetchRows(client), () => (read += 1)),
      percent: () => (total > 0 ? Math.min(99, (100 * read) / total) : null),
      close: () => client.end(),
    };
  } catch (error) {
    await client.end();
    throw told(error);
  }
}

/** All columns, including those that cannot be written. */
async function allColumns(client: Client, table: string): Promise<string[]> {
  const { fields } = await client.query(`SELECT * FROM ${quotedTable(table)} LIMIT 0`);
  return fields.length > 0 ? fields.map(({ name }) => name) : columnsOf(client, table);
}

/** The number of rows by PostgreSQL's statistics; unknown for a part of the rows. */
async function estimate(client: Client, { table, where }: TableSource): Promise<number> {
  if (where !== undefined) return 0;
  const { rows } = await client.query<{ rows: number }>(
    'SELECT reltuples::float8 AS rows FROM pg_class WHERE oid = $1::regclass',
    [quotedTable(table)],
  );
  return Number(rows[0]?.rows ?? 0);
}

async function declare(
  client: Client,
  { table, where = {} }: TableSource,
  columns: string[],
  key: string[],
  after: unknown,
): Promise<void> {
  const values: unknown[] = [];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const conditions = Object.entries(where).map(([name, value]) =>
    value === null ? `${quoted(name)} IS NULL` : `${quoted(name)} = ${parameter(value)}`,
  );
  const keyList = key.map(quoted).join(', ');
  if (Array.isArray(after) && key.length > 0)
    conditions.push(`(${keyList}) > (${after.map((value) => parameter(value)).join(', ')})`);
  const mark =
    key.length === 0
      ? 'NULL::text'
      : `json_build_array(${key.map((name) => `${quoted(name)}::text`).join(', ')})::text`;
  await client.query(
    `DECLARE baton_rows NO SCROLL CURSOR FOR
     SELECT ${columns.map(quoted).join(', ')}, ${mark} AS ${quoted(MARK)} FROM ${quotedTable(table)}
     ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
     ${key.length > 0 ? `ORDER BY ${keyList}` : ''}`,
    values,
  );
}

async function* fetchRows(client: Client): AsyncIterable<Item> {
  for (;;) {
    const { rows }: QueryResult<Row> = await client.query<Row>({
      text: `FETCH ${TOGETHER} FROM baton_rows`,
      types: { getTypeParser: parserOf },
    });
    for (const { [MARK]: mark, ...row } of rows)
      yield { row, mark: typeof mark === 'string' ? (JSON.parse(mark) as unknown) : undefined };
    if (rows.length < TOGETHER) return;
  }
}

async function* counted(items: AsyncIterable<Item>, count: () => void): AsyncIterable<Item> {
  try {
    for await (const item of items) {
      count();
      yield item;
    }
  } catch (error) {
    throw told(error);
  }
}

/** Keeps PostgreSQL's text, except for types that JSON can represent without loss. */
function parserOf(oid: number): (text: string) => unknown {
  if (oid === OID.bool) return (text) => text === 't';
  if (oid === OID.int2 || oid === OID.int4) return Number;
  if (oid === OID.int8) return (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text);
  if (oid === OID.float4 || oid === OID.float8) return (text) => (Number.isFinite(Number(text)) ? Number(text) : text);
  if (oid === OID.json || oid === OID.jsonb) return (text) => JSON.parse(text) as unknown;
  if (TIMESTAMPS.includes(oid)) return (text) => text.replace(' ', 'T').replace(/\+00$/, 'Z');
  return (text) => text;
}
