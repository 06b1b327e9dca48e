import { connect } from 'node:net';
import type { Job, JobList } from '@baton/runner-sdk/protocol';
import { ENDPOINTS } from '../../coordinator/http/server';
import * as audit from '../../coordinator/store/views/audit';
import * as deliveries from '../../coordinator/store/views/webhook-deliveries';
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

test('so does a page of audit entries and of deliveries, of which no more is read than is answered', async () => {
  const { sql, api, app } = coordinator;
  await sql.query(
    `INSERT INTO audit_log (id, at, action, target, key_id, key_name, role, address, request_id, details)
    SELECT gen_random_uuid(), now(), 'queue.set', 'large', 'k', 'k', 'admin', '', '', json_build_object('large', $1::text)
    FROM generate_series(1, 30)`,
    [LARGE],
  );
  const { id } = expectStatus(
    await api.post<{ id: string }>('/webhooks', { url: 'https://example.com', events: ['job.failed'] }),
    201,
  );
  await sql.query(
    `INSERT INTO webhook_deliveries (id, webhook_id, endpoint, name, at, data, status, next_at, created_at, finished_at)
    SELECT gen_random_uuid(), $1, 'webhook', 'job.failed', now(), json_build_object('large', $2::text), 'delivered', now(), now(), now()
    FROM generate_series(1, 30)`,
    [id, LARGE],
  );
  const { db } = app.context;
  expect((await audit.page(db, { target: 'large' }, null, 501)).length).toBeLessThan(12);
  expect((await deliveries.page(db, { webhookId: id }, null, null, 501)).length).toBeLessThan(12);
  for (const path of ['/audit?target=large', `/webhooks/${id}/deliveries?status=delivered`]) {
    const seen = new Set<string>();
    let cursor = '';
    do {
      const answer = await api.get<{ items: { id: string }[]; nextCursor: string | null }>(
        `${path}&limit=500${cursor}`,
      );
      const { items, nextCursor } = expectStatus(answer, 200);
      for (const item of items) seen.add(item.id);
      cursor = nextCursor === null ? '' : `&cursor=${nextCursor}`;
    } while (cursor !== '');
    expect([path, seen.size]).toEqual([path, 30]);
  }
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
  const workflow = expectStatus(
    await coordinator.api.post<{ id: string }>('/workflows', { name: 'head', jobs: { one: { type: uniqueType() } } }),
    201,
  );
  const batch = expectStatus(
    await coordinator.api.post<{ id: string }>('/batches', { jobs: [{ type: uniqueType() }] }),
    201,
  );
  const waits = [`/jobs/${job.id}`, `/workflows/${workflow.id}`, `/batches/${batch.id}`].map(
    (path) => `${path}/wait?waitMs=50000`,
  );
  expect(ENDPOINTS.filter(({ path }) => path.endsWith('/wait'))).toHaveLength(waits.length);
  for (const path of ['/events', `/jobs/${job.id}/events`, ...waits]) {
    const { status } = await fetch(`${coordinator.url}${path}`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${coordinator.adminKey}` },
      signal: AbortSignal.timeout(5000),
    });
    expect([path, status]).toEqual([path, 200]);
  }
  expect(coordinator.app.services.credentialWatch.size).toBe(0);
});
