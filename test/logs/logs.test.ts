import type { ClaimedJob } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

interface Line {
  seq: number;
  level: string;
  message: string;
  fields: unknown;
}

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator({ maxLogLines: 100 });
});
afterAll(() => coordinator.stop());

async function running(): Promise<ClaimedJob> {
  const type = uniqueType();
  await coordinator.api.create({ type });
  return coordinator.api.claimOne({ runnerId: 'r', types: [type] });
}

async function log({ id, leaseToken }: ClaimedJob, from: number, count: number): Promise<void> {
  const logs = Array.from({ length: count }, (_, index) => ({ level: 'info', message: `line ${from + index}` }));
  expectStatus(await coordinator.api.post(`/jobs/${id}/heartbeat`, { leaseToken, logs }), 200);
}

async function read(id: string): Promise<Line[]> {
  return expectStatus(await coordinator.api.get<{ items: Line[] }>(`/jobs/${id}/logs?limit=500`), 200).items;
}

it('keeps all lines of a job up to the cap', async () => {
  const job = await running();
  await log(job, 1, 60);
  await log(job, 61, 40);
  expect((await read(job.id)).map(({ message }) => message)).toEqual(
    Array.from({ length: 100 }, (_, index) => `line ${index + 1}`),
  );
});

it('drops lines from the middle above the cap, and marks the place with how many', async () => {
  const job = await running();
  for (let from = 1; from <= 1000; from += 50) await log(job, from, 50);
  const lines = await read(job.id);
  const mark = lines.findIndex(({ message }) => message.endsWith('lines were dropped here'));
  expect(lines.length).toBeLessThanOrEqual(111);
  expect(lines.slice(0, mark).map(({ message }) => message)).toEqual(
    Array.from({ length: 50 }, (_, index) => `line ${index + 1}`),
  );
  const dropped = 1000 - (lines.length - 1);
  expect(lines[mark]).toMatchObject({
    level: 'warn',
    message: `${dropped} lines were dropped here`,
    fields: { dropped },
  });
  const tail = lines.slice(mark + 1).map(({ message }) => message);
  expect(tail).toEqual(Array.from({ length: tail.length }, (_, index) => `line ${1000 - tail.length + index + 1}`));
  expect([...lines].sort((a, b) => a.seq - b.seq)).toEqual(lines);
});

it('counts each job for itself, in one call for many', async () => {
  const [noisy, quiet] = [await running(), await running()];
  await log(noisy, 1, 300);
  await log(quiet, 1, 3);
  expect(await read(quiet.id)).toHaveLength(3);
  expect((await read(noisy.id)).length).toBeLessThanOrEqual(111);
});
