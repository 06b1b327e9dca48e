import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

// The runner as people start it: a process of its own, which is killed, stopped, watched and set up wrongly.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let folder: string;
let key: string;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-exec-'));
  coordinator = await startCoordinator({ monitorIntervalMs: 200 });
  key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
  writeFileSync(
    join(folder, 'count.sh'),
    `#!/bin/sh
i=$(cat "$BATON_CHECKPOINT_FILE"); [ "$i" = null ] && i=0
echo $$ >> ${folder}/pids
while [ $i -lt 5 ]; do
  i=$((i + 1))
  echo "$i" >> ${folder}/seen
  echo "{\\"checkpoint\\":$i,\\"progress\\":$((20 * i))}" >&3
  [ $i = 3 ] && [ "$BATON_ATTEMPT" = 1 ] && sleep 600
done
echo "{\\"result\\":$i}" >&3
`,
  );
  chmodSync(join(folder, 'count.sh'), 0o755);
  writeFileSync(
    join(folder, 'types.json'),
    JSON.stringify({ types: { count: { command: ['./count.sh'], labels: { counter: '1.0' } } } }),
  );
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
  rmSync(folder, { recursive: true, force: true });
});

function start(more: Record<string, string> = {}): Program {
  const env = {
    ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: key, RUNNER_WORK_DIR: join(folder, 'work') },
    ...{ EXEC_TYPES: join(folder, 'types.json'), STORAGE_ROOTS: `file:${folder}`, RUNNER_LEASE_MS: '2000' },
    ...more,
  };
  const program = new Program('exec', ['runners/exec/dist/index.js'], { env, log });
  running.push(program);
  return program;
}

it('killed in the middle, ends its programs, and the next attempt goes on from the checkpoint', async () => {
  const first = start();
  const { id } = await coordinator.api.create({
    type: 'count',
    arguments: {},
    retry: { strategy: 'fixed', baseMs: 0 },
  });
  await eventually(
    async () => (await coordinator.api.job(id)).checkpoint,
    (checkpoint) => checkpoint === 3,
    20_000,
  );
  await first.kill();
  const [pid] = readFileSync(join(folder, 'pids'), 'utf8').split('\n');
  await eventually(() => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  expect(readdirSync(join(folder, 'work'))).toHaveLength(1);
  start({ RUNNER_HEALTH_PORT: '0', RUNNER_LABELS: 'region=eu,counter=2.0' });
  const job = await eventually(
    () => coordinator.api.job(id),
    ({ status }) => status === 'completed',
    30_000,
  );
  expect([job.result, job.attempt]).toEqual([5, 2]);
  expect(readFileSync(join(folder, 'seen'), 'utf8')).toBe('1\n2\n3\n4\n5\n');
  // What the killed one left in its folder is gone; the living one has its own.
  expect(readdirSync(join(folder, 'work'))).toHaveLength(1);
});

it('tells its labels, its health and its figures, and drains at SIGTERM', async () => {
  const program = start({ RUNNER_HEALTH_PORT: '0', RUNNER_LABELS: 'region=eu,counter=2.0' });
  const { url } = await program.says('health and metrics');
  await program.says('connected to the coordinator');
  const { id } = await coordinator.api.create({
    type: 'count',
    arguments: {},
    requires: { region: 'eu' },
    maxAttempts: 1,
  });
  await eventually(
    () => coordinator.api.job(id),
    ({ status }) => status === 'running',
    20_000,
  );
  const { items } = (await coordinator.api.get<{ items: { labels: object; id: string }[] }>('/runners')).body;
  expect(items.find((one) => one.id.includes(`.${program.pid}.`))?.labels).toMatchObject({
    ...{ region: 'eu', counter: '2.0', memoryMb: expect.any(Number), cpus: expect.any(Number) },
  });
  const health = (await (await fetch(`${String(url)}/healthz`)).json()) as object;
  expect(health).toMatchObject({ status: 'ok', runner: 'exec', running: 1, slots: 2, completed: 0 });
  const metrics = await (await fetch(`${String(url)}/metrics`)).text();
  expect(metrics).toContain('baton_runner_jobs_running{type="count",runner="exec"} 1');
  expect((await fetch(`${String(url)}/other`)).status).toBe(404);
  await coordinator.api.post(`/jobs/${id}/cancel`);
  expect(await program.endedAfter('SIGTERM', 20_000)).toEqual({ code: 0, signal: null });
  expect(readdirSync(join(folder, 'work'))).toEqual([]);
});

it.each([
  [{ EXEC_TYPE: 'x' }, 'EXEC_TYPE is not a setting of this runner. Did you mean EXEC_TYPES?'],
  [
    { RUNNER_CONCURRENCY: 'many' },
    'RUNNER_CONCURRENCY must be a whole number from 1 to 10000, or a range of them such as 1-20; it is "many"',
  ],
  [{ EXEC_CGROUP: '/tmp' }, 'EXEC_CGROUP /tmp is no folder of cgroup v2 that this process may write'],
])('with %j says in one line what is wrong', async (env, line) => {
  const program = start(env);
  expect(await program.ended).toEqual({ code: 1, signal: null });
  expect(log.slice(-1).map(({ text }) => text)).toEqual([line]);
});
