import { join } from 'node:path';
import { claimedJob, job } from '@baton/runner-sdk/protocol';
import { Client } from 'pg';
import { FIELDS, fieldsReadBy, type Reader } from '../../coordinator/store/jobs';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { readPrismaSchema, type Schema, type Table } from './schema-reader';

let database: TestDatabase;
let client: Client;
beforeAll(async () => {
  database = await createTestDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

describe('the migrations and schema.prisma', () => {
  it('say the same', async () => {
    const declared = readPrismaSchema(join(__dirname, '..', '..', 'prisma', 'schema.prisma'));
    expect(Object.keys(declared.tables).length).toBeGreaterThan(5);
    expect(await readDatabase()).toEqual(declared);
  });
});

describe('the table of what a job has', () => {
  const read = (reader: Reader) => fieldsReadBy(reader).map(([name]) => name);

  it('names the columns of the database, and what they hold', async () => {
    const columns = await rows<{ column: string; type: string }>(
      `SELECT attname AS column, CASE atttypid WHEN 'timestamptz'::regtype THEN 'timestamptz' WHEN 'int4'::regtype THEN 'int'
         ELSE format_type(atttypid, NULL) END AS type
       FROM pg_attribute WHERE attrelid = 'baton.jobs'::regclass AND attnum > 0 AND NOT attisdropped`,
    );
    const named = [...FIELDS.values()].map(({ column, type }) => ({ column, type }));
    expect(new Set(named)).toEqual(
      new Set(columns.map(({ column, type }) => ({ column, type: type.replace(/^baton\./, '') }))),
    );
    expect(named.length).toBe(columns.length);
  });

  it('shows clients and runners what the contract says', () => {
    expect(Object.keys(job.shape)).toEqual(expect.arrayContaining(read('job')));
    expect(Object.keys(claimedJob.shape)).toEqual(expect.arrayContaining(read('claimed')));
  });
});

async function readDatabase(): Promise<Schema> {
  const tables = await rows<{
    name: string;
  }>(`SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'baton'::regnamespace
    AND NOT relispartition AND relname <> '_prisma_migrations'`);
  const enums = await rows<{ name: string; label: string }>(`SELECT typname AS name, enumlabel AS label
    FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY enumsortorder`);
  const schema: Schema = { enums: {}, tables: {} };
  for (const { name, label } of enums) (schema.enums[name] ??= []).push(label);
  for (const { name } of tables) schema.tables[name] = await readTable(name);
  return schema;
}

async function readTable(table: string): Promise<Table> {
  const columns = await rows<{ name: string; described: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END
       || COALESCE(' default ' || CASE WHEN pg_get_expr(adbin, adrelid) LIKE 'nextval(%' THEN 'sequence' ELSE pg_get_expr(adbin, adrelid) END, '') AS described
     FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
    table,
  );
  const indexes = await rows<{ primary: boolean; columns: string[] }>(
    `SELECT indisprimary AS primary, array_agg(attname::text ORDER BY position) AS columns
     FROM pg_index, unnest(indkey::int[]) WITH ORDINALITY AS key(number, position)
     JOIN pg_attribute ON attnum = key.number
     WHERE indrelid = $1::regclass AND attrelid = indrelid AND indisunique AND indpred IS NULL AND indexprs IS NULL
     GROUP BY indexrelid, indisprimary`,
    table,
  );
  const foreignKeys = await rows<{ definition: string }>(
    `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype = 'f' AND conrelid = $1::regclass`,
    table,
  );
  return {
    columns: Object.fromEntries(columns.map(({ name, described }) => [name, described])),
    primaryKey: indexes.find(({ primary }) => primary)?.columns ?? [],
    unique: indexes
      .filter(({ primary }) => !primary)
      .map((index) => index.columns.join())
      .sort(),
    foreignKeys: foreignKeys.map(({ definition }) => describeForeignKey(definition)).sort(),
  };
}

function describeForeignKey(definition: string): string {
  const [, columns = '', table, remote = ''] = /FOREIGN KEY \((.*?)\) REFERENCES (\w+)\((.*?)\)/.exec(definition) ?? [];
  const rule = /ON DELETE (CASCADE|SET NULL|RESTRICT)/.exec(definition)?.[1]?.toLowerCase() ?? 'no action';
  return `${columns.replaceAll(' ', '')} > ${table}.${remote.replaceAll(' ', '')} on delete ${rule}`;
}

async function rows<Row>(text: string, ...values: unknown[]): Promise<Row[]> {
  const result = await client.query(text, values);
  return result.rows as Row[];
}
