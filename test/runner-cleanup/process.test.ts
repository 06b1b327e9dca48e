import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { cleanup } from '@baton/runner-cleanup/jobs';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { RunnerStage } from '../support/runner-stage';
import { TestSql } from '../support/sql';

// The runner as people start it, which is killed while it deletes, and set up wrongly.

const ROWS = 1000;
let stage: RunnerStage;
let database: TestDatabase;
let sql: TestSql;

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  sql = new TestSql(database.url);
  stage = await RunnerStage.open('cleanup', { CLEANUP_DATABASE_APP: database.url });
});
afterEach(() => stage.killAll());
afterAll(async () => {
  await stage.close();
  await sql.end();
  await database.drop();
});

it('killed between two batches, goes on with what is left, and does nothing twice', async () => {
  await sql.query('CREATE TABLE old (id int PRIMARY KEY)');
  await sql.query('INSERT INTO old SELECT generate_series(1, $1)', [ROWS]);
  const batch = 'DELETE FROM old WHERE id IN (SELECT id FROM old ORDER BY id LIMIT 100)';
  // Each batch waits for a lock that the test has from the third on.
  const statements = { old: { database: 'APP', delete: batch, count: 'SELECT count(*) FROM old' } };
  const config = join(stage.folder, 'cleanup.json');
  writeFileSync(config, JSON.stringify({ statements }));
  const uploads = join(stage.folder, 'uploads');
  mkdirSync(uploads);
  for (const n of [1, 2, 3]) writeFileSync(join(uploads, `${n}.tmp`), `content ${n}`);
  const guard = await sql.session();
  await guard.query({ text: 'BEGIN' });
  await guard.query({ text: 'SELECT FROM old WHERE id = 250 FOR UPDATE' });

  const first = stage.start({ CLEANUP_CONFIG: config });
  const id = await stage.create(cleanup.type, {
    tasks: [
      { kind: 'files', below: 'file:uploads', match: '*.tmp', archiveTo: 'file:old' },
      { kind: 'rows', statement: 'old' },
    ],
  });
  await eventually(
    () => sql.count('old'),
    (left) => left === ROWS - 200,
    30_000,
  );
  await first.kill();
  // What was made after the first task is none of its business.
  writeFileSync(join(uploads, '4.tmp'), 'content 4');
  await guard.query({ text: 'ROLLBACK' });
  await guard.end();
  const second = stage.start({ CLEANUP_CONFIG: config, RUNNER_HEALTH_PORT: '0' });
  const done = await stage.ended(id);
  expect(done).toMatchObject({ status: 'completed', attempt: 2 });
  const { tasks } = done.result as { tasks: { kind: string; count: number }[] };
  expect(tasks[0]).toMatchObject({ kind: 'files', count: 3 });
  expect(await sql.count('old')).toBe(0);
  const { url } = await second.says('health and metrics');
  const metrics = await (await fetch(`${String(url)}/metrics`)).text();
  // Only what the second has done.
  expect(metrics).toMatch(/baton_runner_cleanup_removed_total\{kind="rows",runner="cleanup"\} [78]00\n/);
  expect(metrics).not.toContain('kind="files"');
  expect(readdirSync(uploads)).toEqual(['4.tmp']);
  const archives = readdirSync(join(stage.folder, 'old')).sort();
  expect(archives.map((name) => gunzipSync(readFileSync(join(stage.folder, 'old', name))).toString())).toEqual(
    [1, 2, 3].map((n) => `content ${n}`),
  );
});

it.each([
  [{ CLEANUP_CONFIGS: 'x' }, 'CLEANUP_CONFIGS is not a setting of this runner. Did you mean CLEANUP_CONFIG?'],
  [{ CLEANUP_CONFIG: '/none' }, /^CLEANUP_CONFIG /],
])('with %j says in one line what is wrong', async (env, line) => {
  expect(await stage.start(env).ended).toEqual({ code: 1, signal: null });
  expect(stage.log.at(-1)?.text).toMatch(line);
});
