import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// The process's clock is put forward, for all that this coordinator does.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

test('long waits end together, early rather than late, and those that have time left wait on', async () => {
  const { api, app } = coordinator;
  const type = uniqueType();
  const [first, second, third] = [20_000, 20_400, 40_000].map((waitMs) =>
    api.claim({ runnerId: 'waits', types: [type], waitMs }),
  );
  await eventually(() => app.services.dispatcher.size === 3);
  const realNow = performance.now.bind(performance);
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => realNow() + 19_500);
  try {
    expect([await first, await second]).toEqual([[], []]);
    expect(app.services.dispatcher.size).toBe(1);
  } finally {
    clock.mockRestore();
  }
  const job = await api.create({ type });
  expect((await third)?.map(({ id }) => id)).toEqual([job.id]);
});
