import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Alert, ApiKey, Queue, RunnerView, Webhook } from '@baton/runner-sdk';
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

describe('queues', () => {
  test('set changes what is named, and leaves the rest', async () => {
    const set = (...options: string[]) => shell.json<Queue>(['queues', 'set', 'mail', ...options]);
    expect(
      await set(
        '--concurrency',
        '5',
        '--rate-limit',
        '100/1m',
        '--key-rate-limit',
        '30/1m',
        '--default-timeout',
        '2h',
        '--keep-completed',
        '7d',
        '--no-fair',
      ),
    ).toMatchObject({
      concurrency: 5,
      rateLimit: { max: 100, perMs: 60_000 },
      keyRateLimit: { max: 30, perMs: 60_000 },
      defaults: { timeoutMs: 7_200_000 },
      retention: { completedMs: 604_800_000 },
      fair: false,
    });
    expect(await set('--rate-limit', 'none', '--default-priority', 'high', '--cost', '{"base":1}')).toMatchObject({
      concurrency: 5,
      rateLimit: null,
      keyRateLimit: { max: 30, perMs: 60_000 },
      defaults: { timeoutMs: 7_200_000, priority: 10 },
      fair: false,
      cost: { base: 1 },
    });
    expect(await set('--no-defaults', '--no-retention', '--no-cost', '--fair')).toMatchObject({
      concurrency: 5,
      defaults: null,
      retention: null,
      cost: null,
      fair: true,
    });
    expect(await set('--concurrency', 'none')).toMatchObject({ concurrency: null });
    expect((await shell.run(['queues', 'set', 'mail'])).code).toBe(2);
    expect((await shell.run(['queues', 'set', 'mail', '--rate-limit', '100'])).stderr).toContain('100/1m');
  });

  test('pause, resume, purge and scale', async () => {
    await coordinator.api.create({ type: 'A', queue: 'paused' });
    const paused = await shell.json<Queue>(['queues', 'pause', 'paused', '--reason', 'no power', '--until', '2h']);
    expect(paused.paused).toMatchObject({ reason: 'no power', untilAt: expect.any(String) });
    expect((await shell.run(['queues', 'list'])).stdout).toMatch(/paused +1 +0 .*no power/);
    expect((await shell.run(['queues', 'get', 'paused'])).stdout).toContain('no power');
    expect((await shell.json<Queue>(['queues', 'resume', 'paused'])).paused).toBeNull();
    expect((await shell.run(['queues', 'scale', 'paused', '--target', '1s'])).stdout).toMatch(/^\d+\n$/);
    expect((await shell.run(['queues', 'purge', 'paused'])).code).toBe(2);
    expect(await shell.json(['queues', 'purge', 'paused', '--yes'])).toEqual({ count: 1 });
  });

  test('apply shows what would change, changes it, and then finds nothing more to do', async () => {
    const file = join(shell.folder, 'queues.yaml');
    writeFileSync(
      file,
      `# limits
queues:
  applied:
    concurrency: 7
    defaults: { priority: high }
    fair: true
  new.one: { maxWaiting: 10, retention: { failedMs: 86400000 } }
`,
    );
    await shell.run(['queues', 'set', 'applied', '--concurrency', '3', '--max-waiting', '9']);
    const check = await shell.run(['queues', 'apply', file, '--check']);
    expect([check.code, check.stdout]).toEqual([
      8,
      'applied\n  concurrency: - 3  + 7\n  defaults: + priority 10\nnew.one (new)\n  maxWaiting: + 10\n  retention: + failed 1 d\n',
    ]);
    expect((await shell.run(['queues', 'apply', file])).code).toBe(2);
    expect((await coordinator.api.get<Queue>('/queues/applied')).body.concurrency).toBe(3);

    expect((await shell.run(['queues', 'apply', file, '--yes'])).code).toBe(0);
    expect((await coordinator.api.get<Queue>('/queues/applied')).body).toMatchObject({
      concurrency: 7,
      maxWaiting: 9,
      defaults: { priority: 10 },
    });
    expect(await shell.json(['queues', 'apply', file, '--check'])).toEqual({ changes: [], applied: false });

    const exported = (await shell.run(['queues', 'export'])).stdout;
    expect(exported).toContain('new.one:\n    maxWaiting: 10');
    expect((await shell.run(['queues', 'apply', '-', '--check'], { stdin: exported })).code).toBe(0);
  });

  test('apply sets the limits that the ready-made runners come with, and the coordinator keeps to them', async () => {
    const file = join(__dirname, '..', '..', 'runners', 'queues.json');
    expect((await shell.run(['queues', 'apply', file, '--yes'])).code).toBe(0);
    expect(await shell.json(['queues', 'apply', file, '--check'])).toEqual({ changes: [], applied: false });
    for (const [queue, max] of [
      ['video', 10],
      ['content', 50],
      ['transcripts', 20],
      ['social', 100],
      ['mail', 200],
    ] as const) {
      const settings = (await coordinator.api.get<Queue>(`/queues/${queue}`)).body;
      expect([queue, settings.userRateLimit]).toEqual([queue, { max, perMs: 3_600_000 }]);
      const userId = `of ${queue}`;
      const jobs = Array.from({ length: max }, () => ({ type: 'LIMITED', queue, userId }));
      expect((await coordinator.api.post('/jobs/bulk', { jobs })).status).toBeLessThan(300);
      expect(await coordinator.api.refusal('post', '/jobs', jobs[0])).toEqual([429, 'rate_limited']);
      await coordinator.api.create({ type: 'LIMITED', queue, userId: `another of ${queue}` });
    }
  });
  test('apply names every fault of its file, and then changes nothing', async () => {
    const apply = (text: string) => shell.run(['queues', 'apply', '-', '--yes'], { stdin: text });
    const [faults, syntax, shape] = await Promise.all([
      apply(
        'queues:\n  fine: { concurrency: 1 }\n  wrong: { concurency: 1, maxWaiting: 0 }\n  "bad name": { fair: true }\n',
      ),
      apply('queues:\n  a: { concurrency: 1\n'),
      apply('queue: {}\n'),
    ]);
    expect(faults.code).toBe(2);
    for (const part of ['concurency', 'wrong.maxWaiting', 'bad name']) expect(faults.stderr).toContain(part);
    expect((await coordinator.api.get('/queues/fine')).status).toBe(404);
    expect([syntax.code, syntax.stderr]).toEqual([2, expect.stringMatching(/line \d/)]);
    expect([shape.code, shape.stderr]).toEqual([2, expect.stringContaining('"queue"')]);
  });
});

test('runners are listed, drained and resumed', async () => {
  await coordinator.api.claim({ runnerId: 'runner 1', types: ['R'], labels: { gpu: true } });
  const list = await shell.json<{ items: RunnerView[] }>(['runners', 'list']);
  expect(list.items).toMatchObject([{ id: 'runner 1', status: 'active' }]);
  expect((await shell.run(['runners', 'drain', 'runner 1'])).code).toBe(0);
  expect((await shell.run(['runners', 'list'])).stdout).toMatch(/runner 1 +draining .*gpu=true/);
  expect((await shell.json<RunnerView>(['runners', 'resume', 'runner 1'])).status).toBe('active');
  expect((await shell.run(['runners', 'drain', 'nobody'])).code).toBe(5);
});

test('keys are made, shown once, rotated and revoked', async () => {
  const made = await shell.run([
    'keys',
    'create',
    'mail runner',
    '--role',
    'runner',
    '--type',
    'MAIL',
    '--expires',
    '90d',
  ]);
  const key = made.stdout.trim();
  expect(made.stdout).toMatch(/^\S+\n$/);
  expect(made.stderr).toContain('not shown again');
  expect(await shell.json(['whoami'], { env: { BATON_KEY: key } })).toMatchObject({
    name: 'mail runner',
    role: 'runner',
  });
  const listed = await shell.run(['keys', 'list']);
  expect(listed.stdout).toMatch(/mail runner +runner +active/);
  expect(listed.stdout).not.toContain(key);
  const id = /^(\S+) +mail runner/m.exec(listed.stdout)?.[1] ?? '';
  const next = await shell.json<ApiKey & { key: string }>(['keys', 'rotate', id, '--grace', '0s']);
  // A coordinator remembers a key for a few seconds.
  await eventually(async () => (await shell.run(['whoami'], { env: { BATON_KEY: key } })).code === 4, Boolean, 20_000);
  expect((await shell.run(['keys', 'revoke', next.id])).code).toBe(2);
  expect((await shell.run(['keys', 'revoke', next.id, '--yes'])).code).toBe(0);
  expect((await shell.json<{ items: ApiKey[] }>(['keys', 'list'])).items.map((one) => one.id)).not.toContain(next.id);
  expect((await shell.run(['keys', 'create', 'x', '--role', 'king'])).stderr).toContain('Allowed choices');
});

test('dead letters are listed, grouped, retried and deleted', async () => {
  for (const n of [1, 2, 3]) {
    await coordinator.api.create({ type: 'DEAD', maxAttempts: 1, arguments: { n } });
    await coordinator.api.complete(await coordinator.api.claimOne({ runnerId: 'r', types: ['DEAD'] }), {
      outcome: 'failed',
      error: { message: `no route to host ${n}`, code: 'EHOSTUNREACH' },
    });
  }
  const list = await shell.json<{ items: { id: string }[] }>(['dead-letters', 'list', '--type', 'DEAD']);
  expect(list.items).toHaveLength(3);
  const [one = '', two = ''] = list.items.map(({ id }) => id);
  const groups = await shell.run(['dlq', 'groups']);
  expect(groups.stdout).toMatch(/3 +DEAD +EHOSTUNREACH +no route to host #/);
  const fingerprint = groups.stdout.trim().split(/\s+/).at(-1) ?? '';
  expect((await shell.run(['dlq', 'get', one])).stderr).toContain(fingerprint);
  expect(await shell.json(['dlq', 'retry', one, '--new-arguments', '{"n":9}'])).toMatchObject({ status: 'pending' });
  expect((await coordinator.api.job(one)).arguments).toEqual({ n: 9 });
  expect((await shell.run(['dlq', 'delete', two, '--yes'])).code).toBe(0);
  expect(await shell.json(['dlq', 'retry', '--fingerprint', fingerprint, '--yes'])).toEqual({ count: 1 });
  expect((await shell.run(['dlq', 'cleanup', '--yes'])).code).toBe(2);
  expect(await shell.json(['dlq', 'cleanup', '--all', '--yes'])).toEqual({ count: 0 });
});

test('webhooks are made, shown, tested, changed and deleted', async () => {
  const made = await shell.json<Webhook & { secret: string }>([
    ...['webhooks', 'create', 'https://example.com/hooks', '-e', 'job.completed,job.failed', '--queue', 'mail'],
    ...['--description', 'ends of mails'],
  ]);
  expect(made).toMatchObject({ events: ['job.completed', 'job.failed'], filter: { queue: ['mail'] } });
  expect((await shell.run(['webhooks', 'list'])).stdout).toMatch(/https:\/\/example\.com\/hooks +ok/);
  const edited = await shell.json<Webhook>(['webhooks', 'edit', made.id, '--disable', '--event', 'job.failed']);
  expect(edited).toMatchObject({ enabled: false, events: ['job.failed'] });
  expect((await shell.run(['webhooks', 'get', made.id])).stdout).toContain('disabled (by_hand)');
  const rotated = await shell.run(['webhooks', 'rotate-secret', made.id]);
  expect(rotated.stdout).toMatch(/^whsec_\S+\n$/);
  expect(rotated.stdout.trim()).not.toBe(made.secret);
  await shell.run(['webhooks', 'edit', made.id, '--enable']);
  const sent = await shell.json<{ id: string }>(['webhooks', 'test', made.id]);
  const deliveries = await shell.json<{ items: { id: string }[] }>(['webhooks', 'deliveries', made.id]);
  expect(deliveries.items.map(({ id }) => id)).toContain(sent.id);
  expect((await shell.run(['webhooks', 'delete', made.id, '--yes'])).code).toBe(0);
  expect((await shell.run(['webhooks', 'get', made.id])).code).toBe(5);
});

test('alerts are made, shown, tested, changed and deleted', async () => {
  const made = await shell.json<Alert>([
    'alerts',
    'create',
    'mails fail',
    'failureRate',
    '10%',
    '--queue',
    'mail',
    '--for',
    '2m',
  ]);
  expect(made).toMatchObject({ measure: 'failureRate', threshold: 0.1, forMs: 120_000, queue: 'mail' });
  const edited = await shell.json<Alert>(['alerts', 'edit', made.id, '--threshold', '20%', '--disable']);
  expect(edited).toMatchObject({ threshold: 0.2, enabled: false, forMs: 120_000 });
  expect((await shell.run(['alerts', 'list'])).stdout).toMatch(/mails fail +disabled +failureRate/);
  expect((await shell.run(['alerts', 'get', made.id])).stdout).toContain('failureRate above 20 %');
  expect(await shell.json(['alerts', 'test', made.id])).toMatchObject({ isAbove: false });
  expect((await shell.run(['alerts', 'delete', made.id, '--yes'])).code).toBe(0);
  expect((await shell.run(['alerts', 'create', 'x', 'depht', '5'])).stderr).toContain('measure');
});

test('stats, analytics and audit can be read', async () => {
  await coordinator.api.create({ type: 'COUNTED', queue: 'counted' });
  const [stats, analytics, audit, wrong] = await Promise.all([
    shell.run(['stats']),
    shell.json(['stats', '--by', 'type', '--range', '1h']),
    shell.run(['audit', '--action', 'queue.set', '-n', '1']),
    shell.run(['stats', '--range', '2h']),
  ]);
  expect(stats.stdout).toMatch(/pending \d[\s\S]*QUEUE +WAITING[\s\S]*counted +1/);
  expect(analytics).toMatchObject({ by: 'type', range: '1h' });
  expect(audit.stdout).toMatch(/queue\.set/);
  expect(wrong.code).toBe(2);
});
