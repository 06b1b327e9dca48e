import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { Shell } from './support/command';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
let coordinator: Started;
let shell: Shell;
const proxies: { stop: () => Promise<void> }[] = [];

beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
});

afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  await coordinator.stop();
});

function file(name: string, text: string): string {
  const path = join(shell.folder, name);
  writeFileSync(path, text);
  return path;
}

interface Stored {
  arguments: unknown;
  queue: string;
  priority: number;
  tags: string[];
}

function stored(type: string): Promise<Stored[]> {
  return coordinator.sql.query<Stored>(
    `SELECT arguments, queue, priority, tags FROM baton.job_details WHERE type = '${type}' ORDER BY id`,
  );
}

describe('import', () => {
  test('reads whole jobs from NDJSON, and lists the lines that are none', async () => {
    const path = file(
      'whole.ndjson',
      [
        '\ufeff{"type":"WHOLE","arguments":{"n":1},"queue":"a","priority":"high","tags":["t"]}',
        '',
        '{"type":"WHOLE","arguments":{"n":2}',
        '{"type":"WHOLE","queue":"no such name","arguments":{"n":3}}',
        '{"type":"WHOLE","quue":"a"}',
        '{"arguments":{}}',
        '{"type":"WHOLE","arguments":{"n":12345678901234567890}}',
        '{"type":"WHOLE","arguments":{"n":4}}',
      ].join('\r\n'),
    );
    const refused = join(shell.folder, 'refused.ndjson');
    const ran = await shell.run(['jobs', 'import', path, '--refused', refused, '--priority', '7']);
    expect(ran).toMatchObject({ code: 8, stdout: '2 jobs were created, 5 rows refused.\n' });
    expect(ran.stderr).toMatch(
      /line 3: .*JSON[\s\S]*line 4: .*queue[\s\S]*line 5: .*quue[\s\S]*line 6: .*type[\s\S]*line 7/,
    );
    expect(await stored('WHOLE')).toEqual([
      { arguments: { n: 1 }, queue: 'a', priority: 7, tags: ['t'] },
      { arguments: { n: 4 }, queue: 'default', priority: 7, tags: [] },
    ]);
    const lines = readFileSync(refused, 'utf8').trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { line: number }).line)).toEqual([3, 4, 5, 6, 7]);

    const again = await shell.run(['jobs', 'import', path, '--priority', '7']);
    expect(again).toMatchObject({ code: 6, stderr: expect.stringMatching(/imported already[\s\S]*--again/) });
    expect((await shell.run(['jobs', 'import', path, '--again'])).stdout).toMatch(/^2 jobs/);
    expect(await stored('WHOLE')).toHaveLength(4);
  });

  test('reads CSV as whole jobs and as arguments', async () => {
    const whole = file(
      'whole.csv',
      'type;queue;priority;tags;metadata;arguments.to;arguments.n\nTABLE;q;high;"a, b";"{""m"":1}";"two\nlines; one cell";\nTABLE;;;;;x;5\n',
    );
    expect((await shell.run(['jobs', 'import', whole, '--json-column', 'arguments.n'])).stdout).toBe(
      '2 jobs were created.\n',
    );
    expect(await stored('TABLE')).toEqual([
      { arguments: { to: 'two\nlines; one cell' }, queue: 'q', priority: 10, tags: ['a', 'b'] },
      { arguments: { to: 'x', n: 5 }, queue: 'default', priority: 0, tags: [] },
    ]);

    const rows = file('rows.csv', 'type,age,note\nperson,36,\nrobot,x,"said ""no"""\nperson,1,a,extra\n');
    const ran = await shell.run(['jobs', 'import', rows, '--type', 'ROW', '--json-column', 'age', '--tag', 'csv']);
    expect(ran).toMatchObject({ code: 8, stdout: '1 jobs were created, 2 rows refused.\n' });
    expect(ran.stderr).toMatch(/line 3: age must be JSON[\s\S]*line 4: .*more cells/);
    expect(await stored('ROW')).toEqual([
      { arguments: { type: 'person', age: 36, note: '' }, queue: 'default', priority: 0, tags: ['csv'] },
    ]);

    for (const [text, fault] of [
      ['a,a\n1,2\n', /two columns named a/],
      ['a,b\n1,"2\n', /not CSV/],
      ['\xe4', /not UTF-8/],
    ] as const) {
      const path = join(shell.folder, 'faulty.csv');
      writeFileSync(path, text, 'latin1');
      const bad = await shell.run(['jobs', 'import', path, '--type', 'FAULTY', '--again']);
      expect([bad.code, bad.stderr]).toEqual([2, expect.stringMatching(fault)]);
    }
    expect(await stored('FAULTY')).toEqual([]);
  });

  test('only checks with --dry-run', async () => {
    const path = file('dry.ndjson', '{"type":"DRY"}\n{"type":"DRY","queue":""}\n{"type":"DRY","x":1}\n');
    const ran = await shell.run(['jobs', 'import', path, '--dry-run']);
    expect(ran).toMatchObject({ code: 8, stdout: '3 rows, 2 of them no jobs; nothing was sent.\n' });
    expect(ran.stderr).toMatch(/line 2: queue[\s\S]*line 3/);
    expect(await stored('DRY')).toEqual([]);
    expect(existsSync(`${path}.import.json`)).toBe(false);
  });

  test('killed in the middle, it goes on without doubles', async () => {
    const count = 5000;
    const path = file('many.ndjson', Array.from({ length: count }, (_, n) => `{"n":${n}}\n`).join(''));
    const slow = await startSlowProxy(coordinator.url);
    proxies.push(slow);
    const args = ['jobs', 'import', path, '--type', 'MANY', '--at-once', '3'];
    const env = { COORDINATOR_URL: slow.url };
    const state = () => readState(`${path}.import.json`);

    // A kill while answers to stored requests are still outstanding.
    for (const rows of [1, 1500]) {
      const running = shell.start(args, env);
      await eventually(
        () => state()?.rows ?? 0,
        (done) => done >= rows,
        30_000,
      );
      await eventually(() => slow.held());
      running.child.kill('SIGKILL');
      expect((await running.ended).code).toBeNull();
    }
    const before = state();
    expect(before).toMatchObject({ isDone: false });
    expect(before?.rows).toBeLessThan(count);

    const other = await shell.run([...args, '--queue', 'other'], { env });
    expect(other).toMatchObject({ code: 6, stderr: expect.stringContaining('with other options') });

    const last = await shell.spawn(args, { env });
    expect(last).toMatchObject({ code: 0, stdout: '5,000 jobs were created.\n' });
    expect(last.stderr).toContain('Goes on after row');
    const [counted] = await coordinator.sql.query<{ jobs: number; different: number }>(
      `SELECT count(*)::int AS jobs, count(DISTINCT arguments->>'n')::int AS different
       FROM baton.job_details WHERE type = 'MANY'`,
    );
    expect(counted).toEqual({ jobs: count, different: count });
    expect(readdirSync(shell.folder).filter((name) => name.startsWith('many.ndjson.import.json.'))).toEqual([]);
  });

  test('notices that the rows which it has imported were changed', async () => {
    const path = file('changed.ndjson', '{"type":"CHANGED"}\n{"type":"CHANGED"}\n');
    await shell.run(['jobs', 'import', path]);
    const state = `${path}.import.json`;
    writeFileSync(state, JSON.stringify({ ...readState(state), isDone: false }));
    writeFileSync(path, '{"type":"CHANGED","queue":"x"}\n{"type":"CHANGED"}\n{"type":"CHANGED"}\n');
    const ran = await shell.run(['jobs', 'import', path]);
    expect(ran).toMatchObject({ code: 6, stderr: expect.stringContaining('has changed in its first 2 rows') });
    expect(await stored('CHANGED')).toHaveLength(2);
  });

  test('with a key of its own it can be repeated from standard input', async () => {
    const args = ['jobs', 'import', '-', '--type', 'KEYED', '--key', 'nightly-1'];
    for (let round = 0; round < 2; round += 1) {
      const ran = await shell.json<{ created: number }>(args, { stdin: '{"n":1}\n{"n":2}' });
      expect(ran.created).toBe(2);
    }
    expect(await stored('KEYED')).toHaveLength(2);
    const changed = await shell.run(args, { stdin: '{"n":1}\n{"n":3}' });
    expect(changed).toMatchObject({ code: 8, stderr: expect.stringMatching(/line 2: .*idempotency_conflict/) });
  });

  test('waits while a queue is full', async () => {
    await shell.run(['queues', 'set', 'narrow', '--max-waiting', '2']);
    const path = file('narrow.ndjson', '{"n":1}\n{"n":2}\n{"n":3}\n');
    const running = shell.run(['jobs', 'import', path, '--type', 'NARROW', '--queue', 'narrow']);
    await eventually(
      () => stored('NARROW'),
      (jobs) => jobs.length === 2,
    );
    await shell.run(['queues', 'set', 'narrow', '--max-waiting', '3']);
    expect(await running).toMatchObject({ code: 0, stdout: '3 jobs were created.\n' });
    expect(await stored('NARROW')).toHaveLength(3);
  });
});

describe('export', () => {
  beforeAll(async () => {
    for (let n = 0; n < 1203; n += 1000) {
      const jobs = Array.from({ length: Math.min(1000, 1203 - n) }, (_, index) => ({
        type: 'OUT',
        queue: 'out',
        arguments: { n: n + index, text: n + index === 0 ? '=1+1, "quoted"' : 'plain' },
        tags: ['x', 'y'],
      }));
      await coordinator.api.post('/jobs/bulk', { jobs });
    }
  });

  test('writes all that match, to standard output and to a file', async () => {
    const { code, stdout, stderr } = await shell.spawn(['jobs', 'export', '--type', 'OUT']);
    const jobs = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { arguments: { n: number } });
    expect([code, jobs.length, stderr]).toEqual([0, 1203, '1,203 jobs were written.\n']);
    expect(new Set(jobs.map((job) => job.arguments.n)).size).toBe(1203);

    const path = join(shell.folder, 'out.csv');
    await shell.run([
      'jobs',
      'export',
      '--type',
      'OUT',
      '--columns',
      'arguments.n,arguments.text,tags',
      '-o',
      path,
      '--escape-formulas',
    ]);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect([lines[0], lines.at(-1), lines.length]).toEqual([
      'arguments.n,arguments.text,tags',
      `0,"'=1+1, ""quoted""","x,y"`,
      1204,
    ]);
  });

  test('what it writes with --as-creates can be imported', async () => {
    for (const name of ['moved.ndjson', 'moved.csv']) {
      const path = join(shell.folder, name);
      await shell.run(['jobs', 'export', '--type', 'OUT', '--as-creates', '-o', path]);
      const text = readFileSync(path, 'utf8').replaceAll('OUT', `MOVED_${name.slice(6).toUpperCase()}`);
      writeFileSync(path, text);
      expect(await shell.run(['jobs', 'import', path])).toMatchObject({
        code: 0,
        stdout: '1,203 jobs were created.\n',
      });
    }
    const [ndjson, csv, out] = await Promise.all(['MOVED_NDJSON', 'MOVED_CSV', 'OUT'].map(stored));
    const byNumber = (jobs: Stored[] = []) =>
      jobs.sort((a, b) => (a.arguments as { n: number }).n - (b.arguments as { n: number }).n);
    expect(byNumber(ndjson)).toEqual(byNumber(out));
    expect(byNumber(csv)).toEqual(byNumber(out));
  });

  test('leaves no half of a file', async () => {
    const folder = join(shell.folder, 'halves');
    mkdirSync(folder);
    const ran = await shell.run(['jobs', 'export', '--type', 'OUT', '-o', join(folder, 'x.ndjson')], {
      env: { BATON_KEY: 'wrong' },
    });
    expect([ran.code, readdirSync(folder)]).toEqual([4, []]);
    expect((await shell.run(['jobs', 'export', '-o', join(folder, 'missing', 'x')])).code).toBe(1);
  });
});

function readState(path: string): { rows: number; isDone: boolean } | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { rows: number; isDone: boolean }) : undefined;
}

/** Passes requests on at once, and answers of creates only a while later, so that a kill falls between the two. */
async function startSlowProxy(target: string): Promise<{ url: string; held: () => number; stop: () => Promise<void> }> {
  let held = 0;
  const server: Server = createServer((incoming, outgoing) => {
    const passed = request(new URL(incoming.url ?? '/', target), {
      method: incoming.method,
      headers: incoming.headers,
    });
    incoming.pipe(passed);
    passed.on('response', (answer) => {
      held += 1;
      setTimeout(() => {
        held -= 1;
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      }, 100);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => held,
    async stop() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
