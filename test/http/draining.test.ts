import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

/** Long enough for some calls, even on a busy machine. */
const DRAIN_MS = 2000;

test('a coordinator that was told to stop goes on serving, and tells load balancers, until they had time to see it', async () => {
  const coordinator = await startCoordinator({ drainMs: DRAIN_MS });
  const { api } = coordinator;
  const type = uniqueType();
  // The first answer compiles the contract that answers are held against, which takes a second or two.
  await api.get('/healthz');
  const waiting = api.claim({ runnerId: 'r', types: [`${type}-none`], waitMs: 50_000 });
  await eventually(() => coordinator.app.services.dispatcher.size === 1);
  const stopping = coordinator.stop();
  const told = await eventually(
    () => api.get('/readyz'),
    ({ status }) => status === 503,
  );
  expect(told).toMatchObject({
    headers: { connection: 'close' },
    body: { reasons: ['the coordinator is shutting down'] },
  });
  const { id } = await api.create({ type });
  expect((await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }))).status).toBe(200);
  expect((await api.job(id)).status).toBe('completed');
  // Only then are waiting claims answered, and connections refused.
  expect(await waiting).toEqual([]);
  await stopping;
  await expect(fetch(`${coordinator.url}/healthz`)).rejects.toThrow();
});
