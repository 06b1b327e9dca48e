import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { startCoordinator } from '../../support/coordinator';
import { KUBERNETES, parse } from './objects';

interface Trigger {
  type: string;
  metadata: { url: string; valueLocation: string; targetValue: string; authMode: string };
}

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeEach(async () => {
  coordinator = await startCoordinator();
});
afterEach(() => coordinator.stop());

/** What KEDA's metrics-api scaler would read: the JSON's value at the path whose steps are separated by dots. */
async function read(): Promise<number> {
  const [, scaled] = parse(readFileSync(join(KUBERNETES, 'components', 'keda', 'scaler.yaml'), 'utf8'));
  const [trigger] = scaled?.spec['triggers'] as Trigger[];
  if (trigger === undefined) throw new Error('there is a trigger');
  expect(trigger).toMatchObject({ type: 'metrics-api', metadata: { authMode: 'bearer' } });
  const { body } = await coordinator.api.post<{ key: string }>('/api-keys', { name: 'scaler', role: 'viewer' });
  const { pathname, search } = new URL(trigger.metadata.url);
  const answer = await coordinator.api.as(body.key).get(pathname + search);
  expect(answer.status).toBe(200);
  const value = trigger.metadata.valueLocation
    .split('.')
    .reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], answer.body);
  if (typeof value !== 'number') throw new Error(`${trigger.metadata.valueLocation} is ${JSON.stringify(value)}`);
  return value;
}

it('the scaler of KEDA reads a number, that goes to zero and back by what waits', async () => {
  expect(await read()).toBe(0);
  const jobs = Array.from({ length: 100 }, () => ({ type: 'scaled' }));
  await coordinator.api.post('/jobs/bulk', { jobs });
  expect(await read()).toBeGreaterThan(0);
  const claimed = await coordinator.api.claim({ runnerId: 'r', types: ['scaled'], max: 100 });
  expect(claimed).toHaveLength(100);
  // The runners of jobs that run are still wanted.
  expect(await read()).toBeGreaterThan(0);
  await Promise.all(claimed.map((job) => coordinator.api.complete(job)));
  expect(await read()).toBe(0);
});

it('the metric that the other scaler reads exists', async () => {
  const hpa = parse(readFileSync(join(KUBERNETES, 'components', 'hpa', 'hpa.yaml'), 'utf8'));
  const { rules } = parseYaml(readFileSync(join(KUBERNETES, 'components', 'hpa', 'adapter-values.yaml'), 'utf8')) as {
    rules: { external: { seriesQuery: string }[] };
  };
  const metrics = hpa.flatMap(({ spec }) => spec['metrics'] as { external: { metric: { name: string } } }[]);
  await coordinator.api.post('/jobs', { type: 'scaled' });
  const { body } = await coordinator.api.get<string>('/metrics');
  for (const { external } of metrics) {
    expect(String(body)).toContain(`${external.metric.name}{queue="default"}`);
    expect(rules.external.map(({ seriesQuery }) => seriesQuery)).toContainEqual(
      expect.stringContaining(external.metric.name),
    );
  }
});
