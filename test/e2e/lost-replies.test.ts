import { type Exchange, LossyProxy } from './support/lossy-proxy';
import { Stage } from './support/stage';
import { AT_ONCE } from './support/work';

const JOBS = 250;
const CUSTOMERS = 16;
const LOST_SHARE = 0.3;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('lost replies');
});

afterEach(() => stage.close());

it('does nothing twice, burns no attempt and waits for no lease when replies are lost', async () => {
  const { random } = stage;
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name })));
  const urls = await Promise.all(coordinators.map(({ url }) => lossy(url)));
  const load = stage.load(urls);
  // The leases are longer than the test: a job that nobody knows he holds would never finish.
  await Promise.all(['anna', 'bert'].map((name) => stage.runner({ name, urls, leaseMs: 60_000 })));
  await load.serve(
    CUSTOMERS,
    () => ({ ms: [random.between(5, 60)], options: { retry: AT_ONCE } }),
    () => load.acknowledged >= JOBS,
  );
  await stage.settled();

  const { coverage } = await stage.judge({ completed: JOBS, lostCreates: 20, lostGrants: 20, lostReports: 20 });
  expect(coverage).toMatchObject({ timedOut: 0, released: 0, startedAgain: 0, unknownCreates: 0, failed: 0 });
  expect(coverage['claims']).toBe(coverage['completed']);
  expect(stage.heard('a report came too late')).toBe(0);
});

it('gives many creates with one idempotency key the same job, whichever coordinator and whatever is lost', async () => {
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name })));
  const urls = await Promise.all(coordinators.map(({ url }) => lossy(url)));
  const clients = [0, 1, 2, 3].map((index) => stage.client(index % 2 === 0 ? urls : [...urls].reverse()));
  const keys = Array.from({ length: 40 }, (_, index) => `order-${index}`);
  const answers: string[][] = [];
  for (const key of keys) {
    answers.push(
      await Promise.all(
        clients.map(async (client) => (await client.create('TWIN', { key }, { idempotencyKey: key })).id),
      ),
    );
  }
  for (const ids of answers) expect(new Set(ids).size).toBe(1);
  expect(new Set(answers.flat()).size).toBe(keys.length);
  expect(await stage.witness.counts()).toEqual({ pending: keys.length });
  expect(stage.faults['lostCreates']).toBeGreaterThan(0);
  await expect(clients[0]?.create('TWIN', { key: 'another' }, { idempotencyKey: keys[0] ?? '' })).rejects.toMatchObject(
    { code: 'idempotency_conflict' },
  );
  stage.pass();
});

async function lossy(target: string): Promise<string> {
  const proxy = new LossyProxy(target, isLost);
  stage.onClose(() => proxy.stop());
  return proxy.start();
}

function isLost(exchange: Exchange): boolean {
  const kind = kindOf(exchange);
  if (kind === undefined || stage.random.next() >= LOST_SHARE) return false;
  stage.bite(kind);
  if (bringsJobs(exchange)) stage.bite('lostGrants');
  return true;
}

function kindOf({ method, path }: Exchange): string | undefined {
  if (method !== 'POST') return undefined;
  if (path === '/jobs' || path === '/jobs/bulk') return 'lostCreates';
  if (path === '/jobs/claim') return 'lostClaims';
  return path === '/jobs/complete' ? 'lostReports' : 'lostBeats';
}

function bringsJobs({ path, reply, status }: Exchange): boolean {
  if (status !== 200 || !path.startsWith('/jobs/c')) return false;
  const { jobs } = JSON.parse(reply) as { jobs?: unknown[] };
  return (jobs?.length ?? 0) > 0;
}
