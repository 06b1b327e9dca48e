import type { RunnerProcess } from './support/processes';
import { Stage } from './support/stage';
import { AT_ONCE } from './support/work';

const GOOD = 100;
const POISON = 2;
const MOST_ATTEMPTS = 3;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('poison jobs');
});

afterEach(() => stage.close());

it('gives up a job that ends every process it runs in, and finishes all others', async () => {
  const { random } = stage;
  const coordinator = await stage.coordinator();
  let isOver = false;
  // As a process manager would: a runner that ends is started again.
  const supervise = async (name: string): Promise<void> => {
    while (!isOver) {
      const runner: RunnerProcess = await stage.runner({ name, urls: [coordinator.url] });
      const { code } = await runner.ended;
      if (code === 17) stage.bite('processesEnded');
    }
  };
  for (const name of ['anna', 'bert']) supervise(name).catch(() => undefined);
  const load = stage.load([coordinator.url]);
  const poison: string[] = [];
  for (let n = 0; n < POISON; n += 1) {
    poison.push(
      await load.mustCreate({
        does: ['exit'],
        ms: [20],
        options: { maxAttempts: MOST_ATTEMPTS, retry: AT_ONCE, priority: 'high' },
      }),
    );
  }
  await load.createMany(
    Array.from({ length: GOOD }, () => ({ ms: [random.between(10, 150)], options: { retry: AT_ONCE } })),
    4,
  );
  await stage.settled();
  isOver = true;

  const { coverage } = await stage.judge({ processesEnded: MOST_ATTEMPTS, failed: POISON, completed: GOOD });
  expect(coverage).toMatchObject({ failed: POISON, completed: GOOD });
  for (const id of poison) {
    // Fewer when another one ended the process between its claim and its start.
    const starts = stage.ledger().filter((line) => line.event === 'start' && line.jobId === id);
    expect([MOST_ATTEMPTS - 1, MOST_ATTEMPTS]).toContain(starts.length);
    const job = await stage.client([coordinator.url]).get(id);
    expect(job).toMatchObject({
      status: 'failed',
      failures: MOST_ATTEMPTS,
      attempt: MOST_ATTEMPTS,
      error: { code: 'timed_out' },
    });
  }
});
