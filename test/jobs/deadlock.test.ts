import { sql as statement } from '../../coordinator/store/db';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

test('a transaction that PostgreSQL ends to break a deadlock is run again', async () => {
  const coordinator = await startCoordinator();
  try {
    const { api, sql, app } = coordinator;
    const [a, b] = [(await api.create({ type: uniqueType() })).id, (await api.create({ type: uniqueType() })).id];
    const touch = (id: string) => statement`UPDATE jobs SET updated_at = now() WHERE id = ${id}::uuid`;
    const other = await sql.session();
    // Only the coordinator's side looks for deadlocks, so it is the one that is ended.
    await other.query({ text: "SET deadlock_timeout = '1min'" });
    await other.begin();
    await other.query(touch(b));
    let runs = 0;
    let freed = (): void => undefined;
    const othersEnd = new Promise<void>((resolve) => (freed = resolve));
    const work = app.context.db.transaction(async (transaction) => {
      runs += 1;
      // Else the second run could have the first row again before the other one, who waits for it, and meet a deadlock
      // of its own.
      if (runs > 1) await othersEnd;
      await transaction.query(touch(a));
      await transaction.query(touch(b));
    });
    await other.hasWaiter();
    await other.query(touch(a));
    await other.commit();
    freed();
    await work;
    await other.end();
    expect(runs).toBe(2);
  } finally {
    await coordinator.stop();
  }
});
