import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { dataImport } from '@baton/runner-data/jobs';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { TestSql } from '../support/sql';

// The runner as people start it, which is killed in the middle of an import.

const ROWS = 30_000;
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let database: TestDatabase;
let sql: TestSql;
let folder: string;
let key: string;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-data-'));
  coordinator = await startCoordinator({ monitorIntervalMs: 200 });
  key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
  database = await createTestDatabase({ migrated: false });
  sql = new TestSql(database.url);
  await sql.query('CREATE TABLE lines (id int, text text)');
});
afterEach(async () => {
  await Promise.all(
    running
      .splice(0)
      .filter((one) => !one.hasEnded)
      .map((one) => one.kill()),
  );
});
afterAll(async () => {
  await coordinator.stop();
  await sql.end();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

function start(more: Record<string, string> = {}): Program {
  const env = {
    ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: key, RUNNER_WORK_DIR: join(folder, 'work') },
    ...{ STORAGE_ROOTS: `file:${folder}`, RUNNER_LEASE_MS: '2000', RUNNER_HEALTH_PORT: '0' },
    ...{ DATA_DATABASE_APP: database.url, DATA_TABLES: 'APP.public.lines' },
    ...more,
  };
  const program = new Program('data', ['runners/data/dist/index.js'], { env, log });
  running.push(program);
  return program;
}

it('killed in the middle of an import, goes on without doubles', async () => {
  const lines = (function* () {
    yield 'id,text\n';
    for (let id = 0; id < ROWS; id += 1) yield `${id === 20_000 ? 'x' : id},${'word '.repeat(20)}\n`;
  })();
  await pipeline(Readable.from(lines), createWriteStream(join(folder, 'lines.csv')));
  const first = start();
  const { id } = await coordinator.api.create({
    ...{ type: dataImport.type, retry: { strategy: 'fixed', baseMs: 0 } },
    arguments: {
      ...{ from: { url: 'file:lines.csv' }, to: { database: 'APP', table: 'lines' }, rejects: 'file:rejects.ndjson' },
    },
  });
  await eventually(
    () => sql.count('lines').then((count) => count > 3000),
    (isMany) => isMany,
    60_000,
  );
  await first.kill();
  const before = await sql.count('lines');
  expect(before).toBeLessThan(ROWS - 1);
  const second = start();
  const job = await eventually(
    () => coordinator.api.job(id),
    ({ status }) => status === 'completed',
    60_000,
  );
  expect(job).toMatchObject({ attempt: 2, result: { rows: ROWS, written: ROWS - 1, rejected: 1 } });
  expect(await sql.one('SELECT count(*)::int, count(DISTINCT id)::int AS ids, max(id)::int FROM lines')).toEqual({
    ...{ count: ROWS - 1, ids: ROWS - 1, max: ROWS - 1 },
  });
  expect(JSON.parse(readFileSync(join(folder, 'rejects.ndjson'), 'utf8'))).toMatchObject({ row: 20_001 });
  const { url } = await second.says('health and metrics');
  const metrics = await (await fetch(`${String(url)}/metrics`)).text();
  // The second has done what the first had not.
  expect(metrics).toMatch(
    new RegExp(`rows_total{type="data-import",outcome="written",runner="data"} ${ROWS - 1 - before}\\b`),
  );
});

it.each([
  [{ DATA_TABLES: 'OTHER.public.x' }, 'DATA_TABLES names OTHER.public.x, but DATA_DATABASE_OTHER is not set'],
  [
    { DATA_TABLES: 'lines' },
    'DATA_TABLES must be a list such as APP.public.contacts,APP.public.orders:read,APP.import.*; "lines" is none',
  ],
  [{ DATA_TABLE: 'x' }, 'DATA_TABLE is not a setting of this runner. Did you mean DATA_TABLES?'],
  [{ DATA_DATABASE_APP: 'mysql://x' }, 'DATA_DATABASE_APP must be a URL such as postgresql://host/name'],
])('with %j says in one line what is wrong', async (env, line) => {
  const program = start(env);
  expect(await program.ended).toEqual({ code: 1, signal: null });
  expect(log.slice(-1).map(({ text }) => text)).toEqual([line]);
});
