import { connect } from 'node:net';
import type { Job, JobList } from '@baton/runner-sdk/protocol';
import { MOST_PAGE_BYTES } from '../../coordinator/store/views/within-bytes';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const JOBS = 20;
const LARGE = 'x'.repeat(240_000);

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
const type = uniqueType();
const ids: string[] = [];
beforeAll(async () => {
  coordinator = await startCoordinator({ access: { eventStreams: 5, eventStreamsPerKey: 2 } });
  for (let index = 0; index < JOBS; index += 1) {
    const job = await coordinator.api.create({ type, arguments: { large: LARGE }, metadata: { index } });
    ids.unshift(job.id);
  }
});
afterAll(() => coordinator.stop());

const list = async (query: string) =>
  expectStatus(await coordinator.api.get<JobList>(`/jobs?type=${type}&${query}`), 200);

test('a list leaves large values out, names them, and a job read alone has them', async () => {
  const { items } = await list('limit=500');
  expect(items.map(({ id }) => id)).toEqual(ids);
  for (const job of items) expect([job.arguments, job.omitted]).toEqual([null, ['arguments']]);
  expect(items.map(({ metadata }) => metadata?.['index'])).toEqual([...Array(JOBS).keys()].reverse());
  expect((await coordinator.api.job(ids[0] ?? '')).arguments).toEqual({ large: LARGE });
});

test('values that are asked for come whole; then a page ends at its bytes, and its cursor goes on', async () => {
  const seen: Partial<Job>[] = [];
  let [cursor, pages] = ['', 0];
  do {
    const answer = await coordinator.api.get<JobList>(`/jobs?type=${type}&limit=500&fields=arguments,status${cursor}`);
    const { items, nextCursor } = expectStatus(answer, 200);
    expect(JSON.stringify(answer.body).length).toBeLessThan(MOST_PAGE_BYTES + LARGE.length + 5000);
    seen.push(...items);
    cursor = nextCursor === null ? '' : `&cursor=${nextCursor}`;
    pages += 1;
  } while (cursor !== '');
  expect(seen.map(({ id }) => id)).toEqual(ids);
  expect(pages).toBeGreaterThan(1);
  for (const job of seen) expect(Object.keys(job).sort()).toEqual(['arguments', 'id', 'status']);
  expect(seen[0]?.arguments).toEqual({ large: LARGE });
  expect((await coordinator.api.get('/jobs?fields=nothing')).status).toBe(400);
});

test('many jobs that are there already are answered without their large values', async () => {
  const jobs = Array.from({ length: 12 }, (_none, index) => ({
    type: `${type}-unique`,
    uniqueKey: `k${index}`,
    arguments: { large: LARGE },
  }));
  expect((await coordinator.api.post('/jobs/bulk', { jobs })).status).toBe(201);
  const again = jobs.map(({ uniqueKey }) => ({ type: `${type}-unique`, uniqueKey }));
  const { body } = await coordinator.api.post<{ jobs: JobList['items'] }>('/jobs/bulk', { jobs: again });
  expect(body.jobs.map(({ arguments: args, omitted }) => [args, omitted])).toEqual(
    jobs.map(() => [null, ['arguments']]),
  );
});

test('an answer that nobody reads is counted, and cut off in the end', async () => {
  const { unsent } = coordinator.app.services;
  const socket = connect(Number(new URL(coordinator.url).port), '127.0.0.1').pause();
  socket.on('error', () => undefined);
  const ask = `GET /jobs?type=${type}&limit=500&fields=arguments HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${coordinator.adminKey}\r\n\r\n`;
  // More than the connection itself takes up.
  socket.write(ask.repeat(10));
  await eventually(() => unsent.bytes > 0);
  unsent.sweep(performance.now() + 20_000);
  expect(unsent.bytes).toBeGreaterThan(0);
  unsent.sweep(performance.now() + 100_000);
  await eventually(() => unsent.bytes === 0);
  socket.destroy();
});

test('one key has a share of the streams of events; the others have theirs', async () => {
  const gone = new AbortController();
  const open = async (key: string) =>
    (
      await fetch(`${coordinator.url}/events`, {
        headers: { authorization: `Bearer ${key}` },
        signal: gone.signal,
      })
    ).status;
  const [greedy, other] = await Promise.all(
    ['greedy', 'other'].map((name) => coordinator.api.makeKey({ name, role: 'viewer' })),
  );
  const asked = await Promise.all(Array.from({ length: 5 }, () => open(greedy ?? '')));
  expect(asked.sort()).toEqual([200, 200, 429, 429, 429]);
  expect(await open(other ?? '')).toBe(200);
  gone.abort();
  await eventually(async () => {
    const again = new AbortController();
    const { status } = await fetch(`${coordinator.url}/events`, {
      headers: { authorization: `Bearer ${greedy}` },
      signal: again.signal,
    });
    again.abort();
    return status === 200;
  });
});

test('HEAD of a stream, and of a wait, is answered at once', async () => {
  const job = await coordinator.api.create({ type: uniqueType() });
  for (const path of ['/events', `/jobs/${job.id}/events`, `/jobs/${job.id}/wait?waitMs=50000`]) {
    const { status } = await fetch(`${coordinator.url}${path}`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${coordinator.adminKey}` },
      signal: AbortSignal.timeout(5000),
    });
    expect([path, status]).toEqual([path, 200]);
  }
  expect(coordinator.app.services.credentialWatch.size).toBe(0);
});
