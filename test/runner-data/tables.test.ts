import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ACCESS_KEY, S3Server, SECRET_KEY } from '../kit/s3-server';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { TestSql } from '../support/sql';
import { Moving } from './moving';

let database: TestDatabase;
let sql: TestSql;
let moving: Moving;

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  sql = new TestSql(database.url);
});
beforeEach(async () => {
  moving = await new Moving(database.url).open();
  await sql.query(`
    DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    DROP SCHEMA IF EXISTS shared CASCADE; CREATE SCHEMA shared;
    CREATE TABLE people (
      id bigint PRIMARY KEY, email text UNIQUE, age int CHECK (age >= 0), born date, joined timestamptz DEFAULT 'epoch',
      tags text[], extra jsonb, twice int GENERATED ALWAYS AS (age * 2) STORED
    )`);
});
afterEach(() => moving.close());
afterAll(async () => {
  await sql.end();
  await database.drop();
});

const people = { database: 'APP', table: 'people' };
const all = () => sql.query('SELECT id::int, email, age FROM people ORDER BY id');
const rejects = (): { row: number; reason: string }[] =>
  moving
    .read('rejects.ndjson')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { row: number; reason: string });

function csv(count: number, line = (id: number): string => `${id},p${id}@x,${id % 90}`): string {
  return moving.write(
    'people.csv',
    `id,email,age\n${Array.from({ length: count }, (_none, index) => line(index + 1)).join('\n')}\n`,
  );
}

describe('an import', () => {
  it('writes rows as the table reads them, and what it refuses into a file', async () => {
    const from = {
      url: csv(2500, (id) =>
        id === 7 ? `7,p6@x,1` : id === 1300 ? '1300,a,-1' : id === 2400 ? 'x,b,' : `${id},p${id}@x,${id % 90}`,
      ),
    };
    const run = await moving.run('data-import', { from, to: people, rejects: 'file:rejects.ndjson' });
    expect(run).toMatchObject({
      ...{ outcome: 'completed', error: null },
      result: { rows: 2500, written: 2497, skipped: 0, rejected: 3, rejects: 'file:rejects.ndjson' },
    });
    expect(await sql.count('people')).toBe(2497);
    expect(rejects()).toMatchObject([
      { row: 7, reason: expect.stringContaining('people_email_key') },
      { row: 1300, reason: expect.stringContaining('people_age_check') },
      { row: 2400, reason: expect.stringContaining('bigint') },
    ]);
    expect(run.progress.at(-1)?.message).toMatch(/rows$/);
  });

  it('takes types of all kinds, defaults for what is not named, and null for what is empty', async () => {
    const row = {
      id: '9007199254740993',
      email: null,
      born: '2026-02-28',
      tags: ['a', 'b'],
      extra: { deep: [1, null] },
    };
    const run = await moving.run('data-processing', {
      batchId: 'b',
      operation: 'import',
      data: [row, { id: 2, joined: null }, {}, { id: 3, nose: 1 }],
      to: people,
    });
    expect(run.result).toMatchObject({ batchId: 'b', rows: 4, written: 2, rejected: 2, rejects: null });
    expect(await sql.query('SELECT id::text, born::text, tags, extra, joined FROM people ORDER BY id')).toEqual([
      { id: '2', born: null, tags: null, extra: null, joined: null },
      { id: '9007199254740993', born: '2026-02-28', tags: ['a', 'b'], extra: { deep: [1, null] }, joined: new Date(0) },
    ]);
    expect(await sql.query('SELECT reject::json FROM baton_data_rejects')).toEqual([]);
  });

  it.each([
    ['update', { written: 3, skipped: 0, rejected: 0 }, { id: 1, email: 'c@x', age: 3 }],
    ['skip', { written: 1, skipped: 2, rejected: 0 }, { id: 1, email: 'old@x', age: 50 }],
    ['reject', { written: 1, skipped: 0, rejected: 2 }, { id: 1, email: 'old@x', age: 50 }],
  ])('on conflict: %s', async (onConflict, counts, first) => {
    await sql.query("INSERT INTO people (id, email, age) VALUES (1, 'old@x', 50)");
    const from = { url: moving.write('a.csv', 'id,email,age\n1,b@x,2\n2,d@x,4\n01,c@x,3\n') };
    const run = await moving.run('data-import', { from, to: { ...people, key: ['id'], onConflict } });
    expect(run.result).toMatchObject(counts);
    expect(await all()).toEqual([first, { id: 2, email: 'd@x', age: 4 }]);
  });

  it('converts, checks and filters columns', async () => {
    const from = {
      url: moving.write(
        'a.csv',
        'Nr,Mail,Age,Kind\n1, A@X ,7,new\n2,b@x,seven,new\n3,,9,new\n4,d@x,,new\n5,e@x,5,old\n6,f@x,2026,new\n',
      ),
    };
    const columns = {
      id: { from: 'Nr', type: 'integer' },
      email: { from: 'Mail', trim: true, lowerCase: true, required: true },
      age: { from: 'Age', type: 'integer', default: 1, mostLength: 3 },
    };
    const run = await moving.run('data-import', {
      ...{
        from,
        to: people,
        columns,
        only: [{ column: 'Kind', is: 'equal', value: 'new' }],
        rejects: 'file:rejects.ndjson',
      },
    });
    expect(run.result).toMatchObject({ rows: 6, written: 2, skipped: 1, rejected: 3 });
    expect(await all()).toEqual([
      { id: 1, email: 'a@x', age: 7 },
      { id: 4, email: 'd@x', age: 1 },
    ]);
    expect(rejects().map(({ row, reason }) => `${row} ${reason}`)).toEqual([
      '2 age is no whole number',
      '3 email is missing',
      '6 age has more than 3 characters',
    ]);
  });

  it('goes on after a lost attempt without doubles, and only the newest attempt writes', async () => {
    const from = { url: csv(5000, (id) => (id % 1000 === 5 ? `${id},p${id}@x,-1` : `${id},p${id}@x,1`)) };
    const args = { from, to: people, rejects: 'file:rejects.ndjson' };
    const first = await moving.run('data-import', args, {
      id: 'job-1',
      onEvent: ({ kind }, control) => kind === 'progress' && control.loseLease(),
    });
    expect(first.outcome).toBe('lease_lost');
    const before = await sql.count('people');
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(4995);
    // As if another attempt had taken over meanwhile.
    await sql.query('UPDATE baton_data_positions SET attempt = 5');
    expect((await moving.run('data-import', args, { id: 'job-1', attempt: 2 })).error?.message).toContain('taken over');
    const run = await moving.run('data-import', args, { id: 'job-1', attempt: 6 });
    expect(run.result).toMatchObject({ rows: 5000, written: 4995, rejected: 5 });
    expect(rejects().map(({ row }) => row)).toEqual([5, 1005, 2005, 3005, 4005]);
    expect(await sql.count('people')).toBe(4995);
    // Whose report was lost.
    expect((await moving.run('data-import', args, { id: 'job-1', attempt: 7 })).result).toEqual(run.result);
    expect(await sql.count('people')).toBe(4995);
    expect(await sql.count('baton_data_rejects')).toBe(0);
  });

  it('does not go on with a source that has changed', async () => {
    const args = { from: { url: csv(3000) }, to: people };
    await moving.run('data-import', args, { id: 'job-2', onEvent: (_event, control) => control.loseLease() });
    csv(2999);
    const run = await moving.run('data-import', args, { id: 'job-2', attempt: 2 });
    expect(run.error).toMatchObject({ code: 'data_source_changed', retryable: false });
  });

  it('fails when too many rows are rejected, and tells which', async () => {
    const from = { url: csv(3000, (id) => `${id},same@x,1`) };
    const run = await moving.run('data-import', { from, to: people, mostRejected: 10, rejects: 'file:rejects.ndjson' });
    expect(run.error).toMatchObject({ code: 'data_too_many_rejected', retryable: false });
    expect(rejects().length).toBeGreaterThan(10);
  });

  it.each([
    [{ database: 'APP', table: 'pg_catalog.pg_class' }, 'data_forbidden_table'],
    [{ database: 'OTHER', table: 'people' }, 'data_forbidden_table'],
    [{ database: 'APP', table: 'shared.people' }, 'data_forbidden_table'],
    [{ database: 'APP', table: 'nobody' }, 'data_bad_table'],
    [{ ...people, key: ['age'], onConflict: 'update' }, 'data_bad_table'],
    [{ ...people, key: ['nose'] }, 'data_bad_table'],
    [{ ...people, onConflict: 'update' }, 'invalid_arguments'],
    [{ database: 'APP', table: 'people; DROP TABLE people' }, 'invalid_arguments'],
  ])('into %j fails with %s', async (to, code) => {
    const run = await moving.run('data-import', { from: { url: csv(2) }, to });
    expect(run.error).toMatchObject({ code, retryable: false });
    expect(await sql.count('people')).toBe(0);
  });
});

describe('an export', () => {
  beforeEach(async () => {
    await sql.query(`INSERT INTO people (id, email, age, tags, extra, joined)
      SELECT n, 'p' || n || '@x', n % 90, ARRAY['t' || n], jsonb_build_object('n', n), '2026-01-02T03:04:05Z' FROM generate_series(1, 2345) AS n`);
  });

  it('writes a table, or a part of it, in any format, whole or not at all', async () => {
    const run = await moving.run('bulk-export', { from: people, to: { url: 'file:all.ndjson' } });
    expect(run.result).toMatchObject({ rows: 2345, written: 2345 });
    const lines = moving.read('all.ndjson').trim().split('\n');
    expect(lines).toHaveLength(2345);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      ...{
        id: 1,
        email: 'p1@x',
        age: 1,
        born: null,
        joined: '2026-01-02T03:04:05Z',
        tags: '{t1}',
        extra: { n: 1 },
        twice: 2,
      },
    });
    const part = { ...people, columns: ['email', 'id'], where: { age: 3, born: null } };
    await moving.run('bulk-export', { from: part, to: { url: 'file:part.csv' } });
    expect(moving.read('part.csv').split('\n').slice(0, 3)).toEqual(['email,id', 'p3@x,3', 'p93@x,93']);
    await moving.run('bulk-export', { from: { ...part, where: { age: 99 } }, to: { url: 'file:none.csv' } });
    expect(moving.read('none.csv')).toBe('email,id\n');
    const broken = await moving.run('bulk-export', {
      from: { ...people, where: { age: 'x' } },
      to: { url: 'file:x.csv' },
    });
    expect(broken.outcome).toBe('failed');
    expect(existsSync(join(moving.folder, 'storage', 'x.csv'))).toBe(false);
  });

  it('goes from table to table by the key, and on after a lost attempt', async () => {
    await sql.query('CREATE TABLE copies (id bigint, email text)');
    const args = {
      batchId: 'b',
      operation: 'import',
      from: { ...people, columns: ['id', 'email'] },
      to: { database: 'APP', table: 'copies' },
    };
    await moving.run('data-processing', args, { id: 'job-3', onEvent: (_event, control) => control.loseLease() });
    expect(await sql.count('copies')).toBeLessThan(2345);
    await sql.query('DELETE FROM people WHERE id < 500');
    const run = await moving.run('data-processing', args, { id: 'job-3', attempt: 2 });
    expect(run.result).toMatchObject({ rows: 2345, written: 2345 });
    expect(await sql.one('SELECT count(*)::int, count(DISTINCT id)::int AS ids FROM copies')).toEqual({
      count: 2345,
      ids: 2345,
    });
    await sql.query('CREATE TABLE keyless (id int); INSERT INTO keyless VALUES (1)');
    const keyless = await moving.run('data-import', {
      from: { database: 'APP', table: 'keyless' },
      to: { database: 'APP', table: 'copies' },
    });
    expect(keyless.error).toMatchObject({ code: 'data_bad_table' });
  });

  it('reads from the web and writes to S3', async () => {
    const s3 = new S3Server();
    const web = createServer((_request, response) => void response.end('id,name\n1,Ada\n2,Bob\n'));
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const base = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    const before = { ...process.env };
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET_KEY });
    const far = await new Moving(database.url, {
      STORAGE_ROOTS: `s3://bucket,${base}`,
      STORAGE_S3_ENDPOINT: await s3.listen(),
    }).open();
    try {
      const run = await far.run('bulk-export', {
        from: { url: `${base}/a.csv?sig=.json` },
        to: { url: 's3://bucket/a.ndjson' },
      });
      expect(run.result).toMatchObject({ rows: 2, written: 2 });
      expect(s3.objects.get('bucket/a.ndjson')?.content.toString()).toBe(
        '{"id":"1","name":"Ada"}\n{"id":"2","name":"Bob"}\n',
      );
    } finally {
      process.env = before;
      far.close();
      s3.close();
      web.close();
    }
  });
});

describe('data in the job', () => {
  it('is changed and returned', async () => {
    const run = await moving.run('data-processing', {
      ...{ batchId: 'b-1', operation: 'transform', data: [{ a: ' 1 ', b: 'YES' }, { a: 'x' }, { a: '3', b: null }] },
      columns: { n: { from: 'a', type: 'number' }, b: { type: 'boolean', default: false } },
      only: [{ column: 'a', is: 'present' }],
    });
    expect(run.result).toEqual({
      ...{ batchId: 'b-1', rows: 3, written: 2, skipped: 0, rejected: 1, rejects: null },
      data: [
        { n: 1, b: true },
        { n: 3, b: false },
      ],
    });
  });

  it.each([
    [{ operation: 'import', data: [] }],
    [{ operation: 'export', data: [], to: people }],
    [{ operation: 'transform' }],
    [{ operation: 'transform', data: [], from: people }],
    [{ operation: 'transform', from: people }],
  ])('%j says too little or too much', async (args) => {
    expect((await moving.run('data-processing', { batchId: 'b', ...args })).error).toMatchObject({
      code: 'invalid_arguments',
    });
  });
});

it('deletes rows by their keys, and only counts them in a dry run', async () => {
  await sql.query('INSERT INTO people (id, age) SELECT n, n % 90 FROM generate_series(1, 3000) AS n');
  const keys = moving.write(
    'keys.csv',
    `id,age\n${Array.from({ length: 2500 }, (_none, index) => (index === 9 ? 'x,1' : `${index + 1000},old`)).join('\n')}\n,1\n`,
  );
  const args = { from: { ...people, key: ['id'] }, keys: { url: keys }, rejects: 'file:rejects.ndjson' };
  const dry = await moving.run('batch-delete', { ...args, dryRun: true });
  expect(dry.result).toEqual({ dryRun: true, rows: 2501, deleted: 2000, rejected: 2, rejects: 'file:rejects.ndjson' });
  expect(await sql.count('people')).toBe(3000);
  const run = await moving.run('batch-delete', args, { id: 'job-4' });
  expect(run.result).toEqual({ ...dry.result, dryRun: false });
  expect(rejects()).toMatchObject([{ row: 10 }, { row: 2501, reason: 'id is missing' }]);
  expect(await sql.one('SELECT count(*)::int, max(id)::int FROM people')).toEqual({ count: 1000, max: 1009 });
  expect((await moving.run('batch-delete', args, { id: 'job-4', attempt: 2 })).result).toEqual(run.result);
});

it('copies files, and goes on behind those that are done', async () => {
  for (const name of ['in/a b.txt', 'in/deep/c%.txt', 'in/z.txt']) moving.write(name, name);
  const args = { below: 'file:in', to: 'file:out' };
  const run = await moving.run('bulk-upload', args);
  expect(run.result).toEqual({ files: 3, skipped: 0, bytes: 32 });
  expect(moving.read('out/deep/c%.txt')).toBe('in/deep/c%.txt');
  expect((await moving.run('bulk-upload', { ...args, skipSameSize: true })).result).toMatchObject({
    files: 0,
    skipped: 3,
  });
  const files = [
    { from: 'file:in/z.txt', to: 'file:x/1' },
    { from: 'file:in/z.txt', to: 'file:x/2' },
  ];
  const lastCheckpoint = { next: 1, after: 'file:in/z.txt', files: 1, skipped: 0, bytes: 8 };
  expect((await moving.run('bulk-upload', { files }, { lastCheckpoint })).result).toEqual({
    files: 2,
    skipped: 0,
    bytes: 16,
  });
  expect([existsSync(join(moving.folder, 'storage/x/1')), moving.read('x/2')]).toEqual([false, 'in/z.txt']);
  expect(
    (await moving.run('bulk-upload', { files: [{ from: 'file:in/z.txt', to: 'file:../x' }] })).error,
  ).toMatchObject({ code: 'storage_outside_roots' });
  expect((await moving.run('bulk-upload', { below: 'file:in' })).error).toMatchObject({ code: 'invalid_arguments' });
});
