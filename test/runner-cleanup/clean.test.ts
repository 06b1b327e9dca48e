import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readSettings, Storage, storageSettings } from '@baton/runner-kit';
import { cleanup } from '@baton/runner-cleanup/jobs';
import { runHandler, type RunHandlerOptions } from '@baton/runner-sdk/testing';
import { clean } from '../../runners/cleanup/clean';
import { type Config, readConfig } from '../../runners/cleanup/settings';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { TestSql } from '../support/sql';

const DAY_MS = 86_400_000;
const NOTHING: Config = { statements: new Map(), caches: new Map() };
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'baton-cleanup-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function go(
  tasks: object[],
  options: RunHandlerOptions & { dryRun?: boolean; config?: Config; storage?: Storage } = {},
) {
  const { dryRun = false, config = NOTHING, storage = storageOf(), ...rest } = options;
  let work: ReturnType<typeof clean> | undefined;
  const handler = (args: Parameters<typeof clean>[0], job: Parameters<typeof clean>[2]): ReturnType<typeof clean> =>
    (work = clean(args, { storage, config }, job));
  const run = await runHandler(cleanup, handler, { tasks, dryRun }, rest);
  // A lost attempt ends at once, and what it did a moment later.
  await work?.catch(() => undefined);
  return run;
}

function storageOf(): Storage {
  return new Storage(readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${folder}` } }), folder);
}

function file(name: string, ageDays: number, content = 'x'): void {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  const at = new Date(Date.now() - ageDays * DAY_MS);
  utimesSync(path, at, at);
}

const left = (): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((name) => !name.startsWith('.baton-parts'))
    .sort();

describe('files', () => {
  beforeEach(() => {
    for (const [name, age, content] of [
      ['cache/a.tmp', 10, 'xx'],
      ['cache/deep/b.tmp', 5, 'xxxx'],
      ['cache/deep/c.jpg', 20, 'xxxxxxxx'],
      ['cache/d.tmp', 0, 'x'],
      ['kept.tmp', 30, 'x'],
    ] as const)
      file(name, age, content);
  });

  it.each([
    [{ olderThanMs: 7 * DAY_MS }, ['cache/a.tmp', 'cache/deep/c.jpg'], 10],
    [{ olderThanMs: DAY_MS, match: '*.tmp' }, ['cache/a.tmp'], 2],
    [{ olderThanMs: DAY_MS, match: '**/*.tmp' }, ['cache/a.tmp', 'cache/deep/b.tmp'], 6],
    [{ largerThanBytes: 3 }, ['cache/deep/b.tmp', 'cache/deep/c.jpg'], 12],
    [{ keepNewest: 2 }, ['cache/a.tmp', 'cache/deep/c.jpg'], 10],
    [{ match: 'deep/*' }, ['cache/deep/b.tmp', 'cache/deep/c.jpg'], 12],
  ])('%j', async (which, gone, bytes) => {
    const all = left();
    const task = { kind: 'files', below: 'file:cache', ...which };
    const dry = await go([task], { dryRun: true });
    expect(dry.result).toMatchObject({ dryRun: true, tasks: [{ kind: 'files', count: gone.length, bytes }] });
    expect(left()).toEqual(all);
    const { result } = await go([task]);
    expect(result?.tasks).toEqual(dry.result?.tasks);
    expect(left()).toEqual(all.filter((name) => !gone.includes(name)));
  });

  it('are kept in an archive first, and what changes meanwhile is left', async () => {
    await go([{ kind: 'files', below: 'file:cache', match: '**/*.tmp', olderThanMs: DAY_MS, archiveTo: 'file:old' }]);
    expect(left()).toEqual(['cache/d.tmp', 'cache/deep/c.jpg', 'kept.tmp', 'old/a.tmp.gz', 'old/deep/b.tmp.gz']);
    expect(gunzipSync(readFileSync(join(folder, 'old', 'a.tmp.gz'))).toString()).toBe('xx');
    const storage = storageOf();
    const stat = storage.stat.bind(storage);
    storage.stat = (url, signal) => {
      appendFileSync(join(folder, 'cache', 'deep', 'c.jpg'), 'more');
      return stat(url, signal);
    };
    const { result } = await go([{ kind: 'files', below: 'file:cache', match: '**/*.jpg' }], { storage });
    expect(result?.tasks[0]?.count).toBe(0);
    expect(existsSync(join(folder, 'cache', 'deep', 'c.jpg'))).toBe(true);
  });

  it('never lie outside of the roots, and a task must say which it means', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'baton-outside-'));
    writeFileSync(join(outside, 'x'), 'x');
    symlinkSync(outside, join(folder, 'cache', 'link'));
    await go([{ kind: 'files', below: 'file:cache', olderThanMs: 0 }]);
    expect(existsSync(join(outside, 'x'))).toBe(true);
    rmSync(outside, { recursive: true });
    for (const below of ['file:..', `file:${tmpdir()}`])
      expect((await go([{ kind: 'files', below, olderThanMs: 0 }])).error).toMatchObject({
        code: 'storage_outside_roots',
      });
    expect((await go([{ kind: 'files', below: 'file:cache' }])).error).toMatchObject({ code: 'invalid_arguments' });
  });
});

describe('a log', () => {
  const task = { kind: 'log', file: 'file:logs/app.log', largerThanBytes: 10, keep: 2 };

  it('is copied and emptied in its place, and so many archives are kept', async () => {
    file('logs/app.log', 0, 'short');
    expect((await go([task])).result?.tasks[0]?.count).toBe(0);
    for (const round of [1, 2, 3]) {
      writeFileSync(join(folder, 'logs', 'app.log'), `round ${round}\n`.repeat(3));
      expect((await go([task])).result?.tasks[0]).toMatchObject({ count: 1, bytes: 24 });
    }
    const [first, second, log] = readdirSync(join(folder, 'logs')).sort(
      (a, b) => b.length - a.length || a.localeCompare(b),
    );
    expect(
      [first, second].map((name) => gunzipSync(readFileSync(join(folder, 'logs', String(name)))).toString()),
    ).toEqual(['round 2\n'.repeat(3), 'round 3\n'.repeat(3)]);
    expect([log, readFileSync(join(folder, 'logs', 'app.log'), 'utf8')]).toEqual(['app.log', '']);
  });

  it('goes on being written by the program that has it open', async () => {
    file('logs/app.log', 0, 'x'.repeat(20));
    const writer = spawn('/bin/sh', ['-c', `exec >> ${join(folder, 'logs', 'app.log')}; read x; echo after`]);
    await go([task]);
    writer.stdin.end('\n');
    await once(writer, 'close');
    expect(readFileSync(join(folder, 'logs', 'app.log'), 'utf8')).toBe('after\n');
  });

  it('of an attempt that was killed between copy and emptying has each line once', async () => {
    file('logs/app.log', 0, 'first line\n');
    const killed = await go([{ kind: 'files', below: 'file:none', olderThanMs: 0 }, task], {
      onEvent: (event, control) =>
        event.kind === 'checkpoint' && (event.value as { done: unknown[] }).done.length === 1 && control.loseLease(),
    });
    expect(killed.outcome).toBe('lease_lost');
    const { stamp } = killed.checkpoints[0] as { stamp: string };
    // As it is after the copy; more has been written since.
    await storageOf().write(`file:logs/app.log-${stamp}.gz`, gzipSync('first line\n'));
    appendFileSync(join(folder, 'logs', 'app.log'), 'second line\n');
    const { result } = await go([{ kind: 'files', below: 'file:none', olderThanMs: 0 }, task], {
      ...{ lastCheckpoint: killed.checkpoints.at(-1), attempt: 2 },
    });
    expect(result?.tasks.map(({ count }) => count)).toEqual([0, 1]);
    const [archive = '', ...others] = readdirSync(join(folder, 'logs')).filter((name) => name.endsWith('.gz'));
    expect(others).toEqual([]);
    expect(gunzipSync(readFileSync(join(folder, 'logs', archive))).toString()).toBe('first line\nsecond line\n');
  });

  it('of an attempt that was killed after the emptying, and has grown since, has each line once', async () => {
    file('logs/app.log', 0, 'first line\n');
    const killed = await go([task], {
      onEvent: (event, control) =>
        event.kind === 'checkpoint' && (event.value as { done: unknown[] }).done.length === 1 && control.loseLease(),
    });
    expect(killed.outcome).toBe('lease_lost');
    appendFileSync(join(folder, 'logs', 'app.log'), 'second line\n');
    // The checkpoint after the emptying was not stored.
    const { result } = await go([task], { lastCheckpoint: killed.checkpoints[0], attempt: 2 });
    expect(result?.tasks[0]?.count).toBe(1);
    const archives = readdirSync(join(folder, 'logs')).filter((name) => name.endsWith('.gz'));
    expect(archives.sort().map((name) => gunzipSync(readFileSync(join(folder, 'logs', name))).toString())).toEqual([
      'first line\n',
      'second line\n',
    ]);
  });
});

describe('rows', () => {
  let database: TestDatabase;
  let sql: TestSql;
  let config: Config;
  beforeAll(async () => {
    database = await createTestDatabase({ migrated: false });
    sql = new TestSql(database.url);
    await sql.query('CREATE TABLE sessions (id serial PRIMARY KEY, expires_at timestamptz)');
    const place = mkdtempSync(join(tmpdir(), 'baton-config-'));
    const path = join(place, 'cleanup.json');
    const old = `expires_at < now() - $1 * interval '1 day'`;
    const statements = {
      sessions: {
        ...{ database: 'APP', count: `SELECT count(*) FROM sessions WHERE ${old}`, parameters: ['days'] },
        delete: `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ${old} LIMIT 100)`,
      },
      broken: { database: 'APP', count: 'SELECT 1', delete: 'DELETE FROM nowhere' },
    };
    writeFileSync(path, JSON.stringify({ statements }));
    config = readConfig(path, { CLEANUP_DATABASE_APP: database.url });
    expect(() => readConfig(path, {})).toThrow('statements.sessions needs CLEANUP_DATABASE_APP, which is not set');
    rmSync(place, { recursive: true });
  });
  beforeEach(() =>
    sql.query(`TRUNCATE sessions; INSERT INTO sessions (expires_at)
      SELECT now() - n * interval '1 day' FROM generate_series(1, 10) n, generate_series(1, 55) m`),
  );
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  it('are deleted in batches by a statement that has a name; a dry run counts', async () => {
    const task = { kind: 'rows', statement: 'sessions', parameters: { days: 4.5 } };
    expect((await go([task], { config, dryRun: true })).result?.tasks[0]).toMatchObject({ count: 330 });
    expect(await sql.count('sessions')).toBe(550);
    const { result, progress } = await go([task], { config });
    expect(result?.tasks[0]).toMatchObject({ kind: 'rows', count: 330 });
    expect(progress.map(({ message }) => message)).toContain('300 rows');
    expect(await sql.count('sessions')).toBe(220);
  });

  it.each([
    [{ statement: 'none' }, 'cleanup_unknown'],
    [{ statement: 'sessions' }, 'cleanup_bad_parameters'],
    [{ statement: 'sessions', parameters: { days: 1, more: 2 } }, 'cleanup_bad_parameters'],
    [{ statement: 'sessions', parameters: { days: "1'; DROP TABLE sessions; --" } }, 'cleanup_bad_statement'],
    [{ statement: 'broken' }, 'cleanup_bad_statement'],
  ])('%j is refused', async (task, code) => {
    expect((await go([{ kind: 'rows', ...task }], { config })).error).toMatchObject({ code, retryable: false });
    expect(await sql.count('sessions')).toBe(550);
  });
});

describe('caches', () => {
  it('forget keys and paths, and what they do not know is forgotten already', async () => {
    const asked: string[] = [];
    const server = createServer(({ method, url, headers }, response) => {
      asked.push(`${method} ${url} ${headers.authorization ?? ''}`.trim());
      response
        .writeHead(url?.includes('unknown') ? 404 : url?.includes('secret') ? 403 : url?.includes('busy') ? 503 : 200)
        .end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const path = join(folder, 'cleanup.json');
    writeFileSync(
      path,
      JSON.stringify({
        caches: {
          keys: { url: `${base}/purge/{key}`, method: 'POST', headers: { authorization: 'Bearer {{CDN}}' } },
          pages: { url: `${base}/shop{path}` },
        },
      }),
    );
    const config = readConfig(path, { CLEANUP_SECRET_CDN: 'token' });
    const task = { kind: 'cache', cache: 'keys', keys: ['a/../b', 'unknown'] };
    expect((await go([task], { config, dryRun: true })).result?.tasks[0]?.count).toBe(2);
    expect(asked).toEqual([]);
    expect((await go([task, { kind: 'cache', cache: 'pages', keys: ['/a?b=1'] }], { config })).error).toBeNull();
    expect(asked).toEqual([
      'POST /purge/a%2F..%2Fb Bearer token',
      'POST /purge/unknown Bearer token',
      'PURGE /shop/a?b=1',
    ]);
    const faultOf = async (cache: string, key: string) =>
      (await go([{ kind: 'cache', cache, keys: [key] }], { config })).error;
    expect(await faultOf('pages', '/../admin')).toMatchObject({ code: 'invalid_arguments' });
    expect(await faultOf('pages', 'a')).toMatchObject({ code: 'invalid_arguments' });
    expect(await faultOf('keys', 'secret')).toMatchObject({ code: 'cleanup_refused', retryable: false });
    expect((await faultOf('keys', 'busy'))?.retryable ?? true).toBe(true);
    expect(await faultOf('none', 'a')).toMatchObject({ code: 'cleanup_unknown' });
    server.closeAllConnections();
    server.close();
  });
});
