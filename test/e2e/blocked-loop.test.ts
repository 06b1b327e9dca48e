import { Stage } from './support/stage';
import { AT_ONCE } from './support/work';

/** Long enough for a busy machine to heartbeat in, and short beside what the handlers do. */
const LEASE_MS = 3000;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('blocked event loop');
});

afterEach(() => stage.close());

it('keeps the lease of a handler that blocks the event loop, and of the jobs beside it', async () => {
  const coordinator = await stage.coordinator();
  const load = stage.load([coordinator.url]);
  await stage.runner({ name: 'blocked', urls: [coordinator.url], concurrency: 2, leaseMs: LEASE_MS });
  const beside = await load.mustCreate({ ms: [500] });
  await stage.started(beside);
  const spinning = await load.mustCreate({ does: ['spin'], ms: [2.5 * LEASE_MS], options: { timeoutMs: 60_000 } });
  await stage.finished([beside, spinning]);
  stage.bite('leasesOutlived', (await longestGapMs(spinning)) > 2 * LEASE_MS ? 1 : 0);
  const { coverage } = await stage.judge({ completed: 2, leasesOutlived: 1 });
  expect(coverage).toMatchObject({ timedOut: 0, claims: 2 });
});

it('fails a handler that spins past its deadline, whatever its heartbeats say, and refuses its late result', async () => {
  const coordinator = await stage.coordinator();
  const load = stage.load([coordinator.url]);
  const blocked = await stage.runner({ name: 'blocked', urls: [coordinator.url], concurrency: 1, leaseMs: LEASE_MS });
  const spinning = await load.mustCreate({
    does: ['spin', 'wait'],
    ms: [3 * LEASE_MS, 10],
    options: { timeoutMs: 1.6 * LEASE_MS, retry: AT_ONCE },
  });
  const { runnerId } = await stage.started(spinning);
  await stage.runner({ name: 'other', urls: [coordinator.url] });
  await stage.finished([spinning]);
  expect(blocked.hasEnded).toBe(false);
  // It lives on, and works again when the handler has returned.
  await stage.finished([await load.mustCreate({ ms: [10] })]);
  const attempts = await stage.client([coordinator.url]).attempts(spinning);
  expect(attempts[0]).toMatchObject({
    attempt: 1,
    runnerId,
    outcome: 'timed_out',
    error: { code: 'timed_out', message: expect.stringContaining('deadline') },
  });
  expect(attempts[1]).toMatchObject({ attempt: 2, outcome: 'completed' });
  await stage.lateReport(spinning);
  await stage.judge({ timedOut: 1, lateReports: 1, completed: 2 });
});

async function longestGapMs(jobId: string): Promise<number> {
  const [start, end] = stage.ledger().filter((line) => line.jobId === jobId);
  return (end?.atMs ?? 0) - (start?.atMs ?? 0);
}
