import { LossyProxy } from './support/lossy-proxy';
import { ADMIN_KEY, type RunnerProcess } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE, WORK } from './support/work';

/** Whether the runner that took over is still at work when the frozen one goes on, or is done. */
const ROUNDS = ['at work', 'done', 'at work'] as const;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('frozen runner');
});

afterEach(() => stage.close());

it('refuses what a runner reports that was stopped for longer than its lease', async () => {
  const coordinator = await stage.coordinator();
  const proxy = new LossyProxy(coordinator.url);
  const url = await proxy.start();
  stage.onClose(() => proxy.stop());
  const load = stage.load([coordinator.url]);
  const frozen = await stage.runner({ name: 'frozen', urls: [url], concurrency: 2 });

  for (const [round, otherIs] of ROUNDS.entries()) {
    const ms = otherIs === 'done' ? 10 : 2000;
    // One is to be told that its lease is over while it waits; the other returns at once when it goes on, too late.
    const waiting = await load.mustCreate({ ms: [60_000, ms], options: { retry: AT_ONCE } });
    await stage.started(waiting);
    const spinning = await load.mustCreate({ does: ['spin', 'wait'], ms: [400, ms], options: { retry: AT_ONCE } });
    await stage.started(spinning);
    frozen.signal('SIGSTOP');
    stage.bite('stops');
    const other = await stage.runner({ name: `other-${round}`, urls: [coordinator.url], leaseMs: 5000 });
    await Promise.all([stage.started(waiting, 2), stage.started(spinning, 2)]);
    if (otherIs === 'done') await stage.finished([waiting, spinning]);

    frozen.signal('SIGCONT');
    await until('the handler that waits is told to stop', () =>
      stage.ledger().some((line) => line.event === 'abort' && line.jobId === waiting),
    );
    await stage.lateReport(spinning);
    if (otherIs === 'at work') expect(await stage.witness.counts()).toMatchObject({ running: 2 });
    await stage.finished([waiting, spinning]);
    await other.endedAfter('SIGTERM', 10_000);
    // It is well again: its slots are free, and it claims anew.
    await stage.finished([await load.mustCreate({ ms: [10] }), await load.mustCreate({ ms: [10] })]);

    expect(await reportsOf(frozen, proxy, spinning)).toEqual(['lease_lost']);
    expect(await reportsOf(frozen, proxy, waiting)).toEqual([]);
  }
  const rounds = ROUNDS.length;
  await stage.judge({
    stops: rounds,
    timedOut: 2 * rounds,
    lateReports: rounds,
    aborted: rounds,
    startedAgain: 2 * rounds,
  });
});

it('answers 409 to a late heartbeat, completion and release while another has the job, and keeps the late result', async () => {
  const coordinator = await stage.coordinator();
  const load = stage.load([coordinator.url]);
  const id = await load.mustCreate({ ms: [0, 2000], options: { retry: AT_ONCE } });
  const call = async (path: string, body: object) => {
    const reply = await fetch(coordinator.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: reply.status, body: (await reply.json()) as { code?: string; jobs?: { leaseToken: string }[] } };
  };
  const claimed = await call('/jobs/claim', { runnerId: 'curl', types: [WORK], leaseMs: 1000, waitMs: 5000 });
  const leaseToken = claimed.body.jobs?.[0]?.leaseToken ?? '';
  await stage.runner({ name: 'other', urls: [coordinator.url], leaseMs: 5000 });
  await stage.started(id, 2);

  const refused = { status: 409, body: { code: 'lease_lost' } };
  expect(await call(`/jobs/${id}/heartbeat`, { leaseToken, progress: { percent: 99 } })).toMatchObject(refused);
  expect(await call(`/jobs/${id}/complete`, { leaseToken, outcome: 'completed', result: 'too late' })).toMatchObject(
    refused,
  );
  expect(
    await call(`/jobs/${id}/complete`, { leaseToken, outcome: 'failed', error: { message: 'later still' } }),
  ).toMatchObject(refused);
  expect(await call(`/jobs/${id}/release`, { leaseToken })).toMatchObject(refused);
  expect(await stage.witness.counts()).toEqual({ running: 1 });
  await stage.finished([id]);
  const [first] = (await stage.client([coordinator.url]).attempts(id)).filter((attempt) => attempt.attempt === 1);
  expect(first).toMatchObject({
    outcome: 'timed_out',
    runnerId: 'curl',
    lateResult: { outcome: 'completed', result: 'too late' },
  });
  await stage.judge({ timedOut: 1, lateReports: 1, completed: 1 });
});

/** What this runner's reports of the job's first attempt were answered with. */
async function reportsOf(runner: RunnerProcess, proxy: LossyProxy, jobId: string): Promise<string[]> {
  const first = (await stage.witness.attempts()).find((attempt) => attempt.jobId === jobId && attempt.attempt === 1);
  if (first === undefined) throw new Error(`${runner.name} has no attempt of ${jobId}`);
  const reports = proxy.exchanges.filter(({ path, body }) => path === '/jobs/complete' && body.includes(first.token));
  return reports.map(({ reply }) => {
    const { results } = JSON.parse(reply) as { results: { jobId: string; code?: string; status?: string }[] };
    const result = results.find((one) => one.jobId === jobId);
    return result?.code ?? result?.status ?? 'none';
  });
}
