import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Job } from '@baton/runner-sdk/protocol';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { Shell } from './support/command';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
let coordinator: Started;
let shell: Shell;

beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
});

afterAll(() => coordinator.stop());

/** Claims the job of this type as a runner does, so that it can be completed. */
function claim(type: string) {
  return coordinator.api.claimOne({ runnerId: 'runner-1', types: [type] });
}

test('create takes everything that the API takes', async () => {
  const file = join(shell.folder, 'arguments.json');
  writeFileSync(file, '\ufeff{"from":"file"}');
  const [flags, fromFile, fromInput, whole] = await Promise.all([
    shell.json<Job>([
      ...[
        'jobs',
        'create',
        'MAIL',
        '{"to":"ada"}',
        '-a',
        'n:=3',
        '-a',
        'text=3',
        '--queue',
        'mail',
        '--priority',
        'high',
      ],
      ...['--delay', '5m', '--timeout', '2h', '--max-attempts', '3', '--unique-key', 'k', '--concurrency-key', 'c'],
      ...['--require', 'gpu=true', '--require', 'memoryGb=>=40', '--tag', 'a,b', '--tag', 'c', '--metadata', '{"m":1}'],
      ...['--retry', '{"strategy":"fixed","baseMs":10}', '--user', 'ada', '--expires', '1h'],
    ]),
    shell.json<Job>(['jobs', 'create', 'MAIL', `@${file}`]),
    shell.json<Job>(['jobs', 'create', 'MAIL', '-'], { stdin: '{"from":"input"}' }),
    shell.json<Job>(['jobs', 'create', '--from', '-', '--queue', 'other'], {
      stdin: '{"type":"MAIL","arguments":{"from":"job"},"queue":"mail","tags":["t"]}',
    }),
  ]);
  const stored = await coordinator.api.job(flags.id);
  expect(stored).toMatchObject({
    type: 'MAIL',
    queue: 'mail',
    arguments: { to: 'ada', n: 3, text: '3' },
    priority: 10,
    timeoutMs: 7_200_000,
    maxAttempts: 3,
    uniqueKey: 'k',
    concurrencyKey: 'c',
    requires: { gpu: true, memoryGb: '>=40' },
    tags: ['a,b', 'c'],
    metadata: { m: 1 },
    userId: 'ada',
    retry: { strategy: 'fixed', baseMs: 10 },
  });
  expect(Date.parse(stored.runAt) - Date.parse(stored.createdAt)).toBeGreaterThan(290_000);
  expect([fromFile.arguments, fromInput.arguments]).toEqual([{ from: 'file' }, { from: 'input' }]);
  expect(whole).toMatchObject({ queue: 'other', arguments: { from: 'job' }, tags: ['t'] });
});

test('create says what is wrong, and stores nothing', async () => {
  const before = await coordinator.api.get('/jobs/count');
  const ran = await Promise.all([
    shell.run(['jobs', 'create', 'WRONG', '{"a":']),
    shell.run(['jobs', 'create', 'WRONG', '{"n":12345678901234567890}']),
    shell.run(['jobs', 'create', 'WRONG', '@nowhere.json']),
    shell.run(['jobs', 'create']),
    shell.run(['jobs', 'create', 'WRONG', '--delay', '5']),
    shell.run(['jobs', 'create', 'WRONG', '--run-at', '2026-01-31T12:00:00']),
    shell.run(['jobs', 'create', 'WRONG TYPE']),
    shell.run(['jobs', 'create', '--from', '-'], { stdin: '{"type":"WRONG","prio":1}' }),
  ]);
  expect(ran.map(({ code }) => code)).toEqual([2, 2, 1, 2, 2, 2, 2, 2]);
  const said = [
    /line 1, column 6/,
    /12345678901234567890/,
    /nowhere\.json cannot be read/,
    /type is missing/,
    /with its unit/,
    /zone/,
    /type:/,
    /prio/,
  ];
  ran.forEach(({ stderr, stdout }, index) => {
    expect(stderr).toMatch(said[index] ?? /^$/);
    expect(stdout).toBe('');
  });
  expect((await coordinator.api.get('/jobs/count')).body).toEqual(before.body);
});

test('create --wait and wait print the result, or end with 7, or with 9 in time', async () => {
  const waiting = shell.start(['jobs', 'create', 'WAITED', '--wait', '--json']);
  const job = await eventually(
    () => coordinator.api.claim({ runnerId: 'runner-1', types: ['WAITED'] }),
    (jobs) => jobs.length === 1,
    60_000,
  );
  await coordinator.api.complete(job[0] as (typeof job)[0], { outcome: 'completed', result: { fine: true } });
  const waited = await waiting.ended;
  expect([waited.code, (JSON.parse(waited.stdout) as Job).result]).toEqual([0, { fine: true }]);

  const doomed = await coordinator.api.create({ type: 'DOOMED', maxAttempts: 1 });
  await coordinator.api.complete(await claim('DOOMED'), {
    outcome: 'failed',
    error: { message: 'it broke\u001b[2J', code: 'broken' },
  });
  const slow = await coordinator.api.create({ type: 'SLOW' });
  const [failed, tooLate, result] = await Promise.all([
    shell.run(['jobs', 'wait', doomed.id]),
    shell.run(['jobs', 'wait', slow.id, '--timeout', '1ms']),
    shell.run(['jobs', 'get', job[0]?.id ?? '', '--result']),
  ]);
  expect(failed.code).toBe(7);
  expect(failed.stdout).toContain('broken: it broke\ufffd[2J');
  expect([tooLate.code, tooLate.stdout]).toEqual([9, '']);
  expect(JSON.parse(result.stdout)).toEqual({ fine: true });
});

test('list filters, pages, and is a table without colours where nobody looks', async () => {
  for (const [index, tag] of ['red', 'red', 'blue'].entries())
    await coordinator.api.create({ type: 'LISTED', queue: `q${index}`, tags: [tag], arguments: { index } });
  const [red, two, contained, all, piped, coloured, none, counted] = await Promise.all([
    shell.json<{ items: Job[] }>(['jobs', 'list', '--type', 'LISTED', '--tag', 'red']),
    shell.run(['jobs', 'list', '--type', 'LISTED,OTHER', '--limit', '2', '--created-after', '1h']),
    shell.json<{ items: Job[] }>(['jobs', 'list', '--type', 'LISTED', '--arguments', '{"index":2}']),
    shell.json<{ items: Job[]; nextCursor: null }>(['jobs', 'list', '--type', 'LISTED', '--all']),
    shell.run(['jobs', 'list', '--type', 'LISTED']),
    shell.run(['jobs', 'list', '--type', 'LISTED', '--exact'], { env: { FORCE_COLOR: '1', COLUMNS: '60' } }),
    shell.run(['jobs', 'list', '--type', 'LISTED', '--status', 'failed,cancelled']),
    shell.run(['jobs', 'count', '--type', 'LISTED', '--queue', 'q0,q1']),
  ]);
  expect(red.items.map(({ queue }) => queue)).toEqual(['q1', 'q0']);
  expect(two.stdout.trimEnd().split('\n')).toHaveLength(3);
  expect(two.stderr).toMatch(/--cursor \S+/);
  expect(contained.items.map(({ queue }) => queue)).toEqual(['q2']);
  expect([all.items.length, all.nextCursor]).toEqual([3, null]);
  expect(piped.stdout).not.toContain('\u001b');
  expect(piped.stdout).toMatch(/^ID +TYPE +QUEUE +STATUS/);
  expect(coloured.stdout).toContain('\u001b[33mpending');
  for (const line of coloured.stdout.replace(/\u001b\[\d+m/g, '').split('\n'))
    expect(line.length).toBeLessThanOrEqual(60);
  expect(none).toMatchObject({ code: 0, stdout: '', stderr: 'No jobs match.\n' });
  expect(counted.stdout).toBe('2\n');
});

test('get, attempts and explain tell of one job', async () => {
  const retry = { strategy: 'fixed' as const, baseMs: 3_600_000 };
  const { id } = await coordinator.api.create({ type: 'TOLD', arguments: { a: 1 }, tags: ['x'], retry });
  const running = await claim('TOLD');
  await coordinator.api.complete(running, { outcome: 'failed', error: { message: 'first try' } });
  const [get, attempts, explain] = await Promise.all([
    shell.run(['jobs', 'get', id]),
    shell.run(['jobs', 'attempts', id]),
    shell.run(['jobs', 'explain', id]),
  ]);
  expect(get.stdout).toMatch(/TOLD pending[\s\S]*tags +x[\s\S]*1 of at most 11 failed[\s\S]*arguments +\{"a":1\}/);
  expect(attempts.stdout).toMatch(/1 +failed[\s\S]*runner-1 +first try/);
  expect(explain.stdout).toMatch(/^pending\n {2}.*\(retry_backoff\)/);
});

test('watch and logs follow a job to its end', async () => {
  const { id } = await coordinator.api.create({ type: 'FOLLOWED', maxAttempts: 1 });
  const watch = shell.start(['jobs', 'watch', id]);
  const logs = shell.start(['jobs', 'logs', id, '--follow', '--level', 'info', '--json']);
  const job = await claim('FOLLOWED');
  const beat = (body: object) => coordinator.api.post(`/jobs/${id}/heartbeat`, { leaseToken: job.leaseToken, ...body });
  await beat({
    logs: [
      { level: 'info', message: 'one' },
      { level: 'debug', message: 'hidden' },
    ],
  });
  // Progress is told to those who listen by then, so it is reported until somebody does.
  await eventually(
    async () => {
      await beat({ progress: { percent: 40, message: 'half\u001b[31m' } });
      return watch.output.stdout.includes('40 % half\ufffd[31m') && logs.output.stdout.includes('one');
    },
    Boolean,
    60_000,
  );
  await coordinator.api.complete(job, {
    outcome: 'failed',
    error: { message: 'no' },
    logs: [{ level: 'warn', message: 'two' }],
  });
  const [watched, logged] = await Promise.all([watch.ended, logs.ended]);
  expect(watched.code).toBe(7);
  expect(watched.stdout).toMatch(/job\.progress[\s\S]*job\.failed/);
  const lines = logged.stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { message: string }).message);
  expect([logged.code, lines]).toEqual([0, ['one', 'two']]);
});

test('cancel, retry, edit, run-now and delete change jobs', async () => {
  const jobs = await Promise.all(
    [1, 2, 3].map(() => coordinator.api.create({ type: 'CHANGED', tags: ['a'], delayMs: 3_600_000 })),
  );
  const [one = '', two = '', three = ''] = jobs.map(({ id }) => id);
  const edited = await shell.json<Job>(['jobs', 'edit', one, '--priority', '-7', '--no-tags', '--run-at', '2h']);
  expect(edited).toMatchObject({ priority: -7, tags: [] });
  expect(await shell.json<Job>(['jobs', 'run-now', two])).toMatchObject({ status: 'pending' });

  const some = await shell.run(['jobs', 'cancel', one, '01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', '--reason', 'enough']);
  expect([some.code, some.stdout]).toEqual([8, `${one}  CHANGED is cancelled\n`]);
  expect(some.stderr).toContain('not_found');
  expect(await coordinator.api.job(one)).toMatchObject({ status: 'cancelled', reason: 'enough' });

  expect(await shell.run(['jobs', 'cancel', '--type', 'CHANGED', '--dry-run'])).toMatchObject({
    code: 0,
    stdout: '2 jobs would be cancelled.\n',
  });
  const unasked = await shell.run(['jobs', 'cancel', '--type', 'CHANGED']);
  expect([unasked.code, unasked.stderr]).toEqual([2, expect.stringContaining('Cancel 2 jobs?')]);
  expect(await coordinator.api.job(three)).toMatchObject({ status: 'pending' });
  expect(await shell.json(['jobs', 'cancel', '--type', 'CHANGED', '--yes'])).toEqual({ count: 2 });
  expect(await shell.json<Job>(['jobs', 'retry', three])).toMatchObject({ id: three, status: 'pending' });

  const choices = await Promise.all([
    shell.run(['jobs', 'cancel', '--yes']),
    shell.run(['jobs', 'cancel', '--yes', '--all', '--type', 'CHANGED']),
    shell.run(['jobs', 'cancel', '--yes', three, '--type', 'CHANGED']),
    shell.run(['jobs', 'purge', '--yes']),
  ]);
  expect(choices.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  expect(await coordinator.api.job(three)).toMatchObject({ status: 'pending' });

  expect((await shell.run(['jobs', 'delete', one, '--yes'])).code).toBe(0);
  expect((await shell.run(['jobs', 'get', one])).code).toBe(5);
  const purged = await shell.json(['jobs', 'purge', '--type', 'CHANGED', '--status', 'cancelled', '--yes']);
  expect(purged).toEqual({ count: 1 });
});

test('Ctrl-C ends what is followed, with the code that shells expect', async () => {
  const { id } = await coordinator.api.create({ type: 'ENDLESS' });
  const events = shell.start(['events', '--type', 'ENDLESS', '--json']);
  const wait = shell.start(['jobs', 'wait', id]);
  await eventually(
    async () => {
      await coordinator.api.create({ type: 'ENDLESS' });
      return events.output.stdout.includes('job.created') && wait.output.stderr.includes('Waiting');
    },
    Boolean,
    60_000,
  );
  events.child.kill('SIGINT');
  wait.child.kill('SIGTERM');
  expect((await events.ended).code).toBe(130);
  expect((await wait.ended).code).toBe(143);
  const names = (await events.ended).stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { name: string }).name);
  expect(names).toContain('job.created');
});

test('a reader that has enough is no error', async () => {
  const child = shell.start(['jobs', 'list', '--limit', '500']);
  child.child.stdout.destroy();
  expect(await child.ended).toMatchObject({ code: 0, stderr: '' });
});
