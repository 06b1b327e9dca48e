import type { Analytics } from '@baton/runner-sdk/protocol';
import { Settled } from '../../coordinator/domain/analytics/settled';
import { rollUp } from '../../coordinator/domain/analytics/roll-up';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeEach(async () => {
  coordinator = await startCoordinator();
});
afterEach(() => coordinator.stop());

const read = async (query: string, api = coordinator.api) => expectStatus(await api.get<Analytics>(`/analytics${query}`), 200);

it('smokes', async () => {
  for (const state of ['completed', 'failed', 'cancelled', 'retrying', 'released', 'running', 'pending'] as const) await jobIn(state, coordinator, { queue: 'mail', userId: 'ann' });
  const a = await read('?by=queue&range=1h');
  console.log(JSON.stringify({ ...a, series: a.series.filter((s) => s.attempts.completed > 0), n: a.series.length }, null, 1));
  const settled = new Settled(0);
  await settled.look(coordinator.app.context.db);
  const until = await settled.look(coordinator.app.context.db);
  console.log(until, await rollUp(coordinator.app.context, until ?? ''));
  console.log(await coordinator.sql.query('SELECT * FROM rollups ORDER BY 1,2,3,4,5 LIMIT 4'), await coordinator.sql.query('SELECT * FROM rollup_progress'));
  const b = await read('?by=queue&range=1h');
  expect({ ...b, until: '' }).toEqual({ ...a, until: '' });
  for (const range of ['24h', '7d', '30d']) expect((await read(`?by=queue&range=${range}`)).items).toEqual(a.items);
  console.log(JSON.stringify((await coordinator.api.get('/stats')).body, null, 1).slice(0, 1500), (await coordinator.api.get('/health')).body);
});
