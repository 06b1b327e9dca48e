import { request } from 'undici';
import { BoundedLabels, OTHER } from '../../coordinator/domain/metrics/bounded';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeEach(async () => {
  coordinator = await startCoordinator();
});
afterEach(() => coordinator.stop());

async function scrape(): Promise<Map<string, number>> {
  const answer = await request(`${coordinator.url}/metrics`, {
    headers: { authorization: `Bearer ${coordinator.adminKey}` },
  });
  expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
  const lines = (await answer.body.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

it('tells depth, age, running, rates, latencies, runners, pools and build as they are', async () => {
  const { api, app } = coordinator;
  const type = uniqueType();
  for (let index = 0; index < 5; index += 1) await api.create({ type, queue: 'mail' });
  const [first, second, third] = await api.claim({ runnerId: 'r', types: [type], max: 3 });
  if (first === undefined || second === undefined || third === undefined) throw new Error('three were to be claimed');
  await api.complete(first);
  await api.complete(second, { outcome: 'failed', error: { message: 'no', retryable: false } });
  await app.context.runnerRegistry.writeSeen();
  const figures = await scrape();
  const read = (name: string) => figures.get(name);
  expect(read('baton_queue_waiting{queue="mail"}')).toBe(2);
  expect(read('baton_queue_running{queue="mail"}')).toBe(1);
  expect(read('baton_queue_oldest_age_seconds{queue="mail"}')).toBeGreaterThan(0);
  expect(read('baton_queue_wanted_runners{queue="mail"}')).toBeGreaterThanOrEqual(1);
  expect(read('baton_jobs{status="failed"}')).toBe(1);
  expect(read('baton_runners{state="active"}')).toBe(1);
  for (const [event, count] of Object.entries({ created: 5, claimed: 3, completed: 1, failed: 1 })) {
    expect([event, read(`baton_job_events_total{event="${event}",queue="mail"}`)]).toEqual([event, count]);
  }
  expect(read('baton_job_wait_seconds_count{queue="mail"}')).toBe(3);
  expect(read(`baton_job_run_seconds_count{type="${type}",outcome="completed"}`)).toBe(1);
  expect(read('baton_http_request_seconds_count{method="post",route="/jobs",status="201"}')).toBe(5);
  expect(figures.has('baton_pool_connections{pool="vital",state="busy"}')).toBe(true);
  expect(figures.has('nodejs_eventloop_lag_seconds')).toBe(true);
  expect(figures.has('baton_monitor_lag_seconds')).toBe(true);
  expect([...figures.keys()].some((name) => name.startsWith('baton_build_info{version="'))).toBe(true);
});

it('counts queues that are named like members of an object', async () => {
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];
  for (const queue of names) await coordinator.api.create({ type: 'named', queue });
  const figures = await scrape();
  expect(names.map((name) => figures.get(`baton_queue_waiting{queue="${name}"}`))).toEqual([1, 1, 1, 1]);
});

it('are for operators alone', async () => {
  const { api } = coordinator;
  const user = api.as(await api.makeKey({ name: 'u', role: 'user', userId: 'u' }));
  expect(await user.refusal('get', '/metrics')).toEqual([403, 'forbidden']);
  expect(await api.as(null).refusal('get', '/metrics')).toEqual([401, 'unauthenticated']);
});

it('keeps the number of labels bounded', () => {
  const labels = new BoundedLabels(2);
  expect(['a', 'b', 'c', 'a', 'd', 'b'].map((label) => labels.of(label))).toEqual(['a', 'b', OTHER, 'a', OTHER, 'b']);
});
