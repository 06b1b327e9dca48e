import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually';
import { RunnerStage } from '../support/runner-stage';

// The runner as people start it: a process of its own, which is killed, stopped, watched and set up wrongly.

let stage: RunnerStage;
let folder: string;

beforeAll(async () => {
  stage = await RunnerStage.open('exec');
  ({ folder } = stage);
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
afterEach(() => stage.killAll());
afterAll(() => stage.close());

const start = (more: Record<string, string> = {}) => stage.start({ EXEC_TYPES: join(folder, 'types.json'), ...more });

it('killed in the middle, ends its programs, and the next attempt goes on from the checkpoint', async () => {
  const first = start();
  const id = await stage.create('count', {});
  await eventually(
    async () => (await stage.coordinator.api.job(id)).checkpoint,
    (checkpoint) => checkpoint === 3,
    20_000,
  );
  await first.kill();
  const [pid] = readFileSync(join(folder, 'pids'), 'utf8').split('\n');
  await eventually(() => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  expect(stage.owners()).toHaveLength(1);
  start({ RUNNER_HEALTH_PORT: '0', RUNNER_LABELS: 'region=eu,counter=2.0' });
  const job = await stage.ended(id);
  expect([job.result, job.attempt]).toEqual([5, 2]);
  expect(readFileSync(join(folder, 'seen'), 'utf8')).toBe('1\n2\n3\n4\n5\n');
  // What the killed one left in its folder is gone; the living one has its own.
  expect(stage.owners()).toHaveLength(1);
});

it('tells its labels, its health and its figures, and drains at SIGTERM', async () => {
  const program = start({ RUNNER_HEALTH_PORT: '0', RUNNER_LABELS: 'region=eu,counter=2.0' });
  const { url } = await program.says('health and metrics');
  await program.says('connected to the coordinator');
  const { id } = await stage.coordinator.api.create({
    type: 'count',
    arguments: {},
    requires: { region: 'eu' },
    maxAttempts: 1,
  });
  await eventually(
    () => stage.coordinator.api.job(id),
    ({ status }) => status === 'running',
    20_000,
  );
  const { items } = (await stage.coordinator.api.get<{ items: { labels: object; id: string }[] }>('/runners')).body;
  expect(items.find((one) => one.id.includes(`.${program.pid}.`))?.labels).toMatchObject({
    ...{ region: 'eu', counter: '2.0', memoryMb: expect.any(Number), cpus: expect.any(Number) },
  });
  const health = (await (await fetch(`${String(url)}/healthz`)).json()) as object;
  expect(health).toMatchObject({ status: 'ok', runner: 'exec', running: 1, slots: 2, completed: 0 });
  const metrics = await (await fetch(`${String(url)}/metrics`)).text();
  expect(metrics).toContain('baton_runner_jobs_running{type="count",runner="exec"} 1');
  expect((await fetch(`${String(url)}/other`)).status).toBe(404);
  await stage.coordinator.api.post(`/jobs/${id}/cancel`);
  expect(await program.endedAfter('SIGTERM', 20_000)).toEqual({ code: 0, signal: null });
  expect(stage.owners()).toEqual([]);
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
  expect(stage.log.slice(-1).map(({ text }) => text)).toEqual([line]);
});
