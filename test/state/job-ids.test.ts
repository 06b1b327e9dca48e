import { JobIds } from '../../coordinator/state/job-ids';

// Lists are sorted by id, so the time in an id is the database's, whatever the clock of the process says.

const HOUR_MS = 3_600_000;

const msOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
/** A database whose clock is so far from that of the process. */
const aheadBy = (ms: number) => ({
  query: <Row>(): Promise<Row[]> => Promise.resolve([{ ms: Date.now() + ms }] as Row[]),
});
const take = (ids: JobIds, count: number): string[] => Array.from({ length: count }, () => ids.next());

test.each([HOUR_MS, -HOUR_MS])("the time in them is the database's, %d ms from the own", async (ms) => {
  const ids = new JobIds();
  await ids.adjust(aheadBy(ms));
  const before = Date.now();
  const at = msOf(ids.next()) - ms;
  expect(at).toBeGreaterThanOrEqual(before - 100);
  expect(at).toBeLessThanOrEqual(Date.now() + 100);
});

test('they rise within a millisecond, and when the clock is measured anew', async () => {
  const ids = new JobIds();
  const made = take(ids, 5000);
  await ids.adjust(aheadBy(-500));
  made.push(...take(ids, 5000));
  expect(new Set(made).size).toBe(10_000);
  expect([...made].sort()).toEqual(made);
});

test('a clock that was set back is followed', async () => {
  const ids = new JobIds();
  await ids.adjust(aheadBy(HOUR_MS));
  const ahead = ids.next();
  await ids.adjust(aheadBy(0));
  expect(ids.next() < ahead).toBe(true);
});
