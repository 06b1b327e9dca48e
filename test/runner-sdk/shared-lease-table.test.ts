import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import {
  TABLE_SLOTS,
  SharedLeaseTable,
  SharedLeaseTableReader,
  NO_SLOT,
} from '../../runner-sdk/leases/shared-lease-table';
import type { Lease } from '../../runner-sdk/leases/lease-keeper';

const lease = (fields: Partial<Lease> = {}): Lease => ({
  jobId: randomUUID(),
  leaseToken: randomUUID(),
  leaseMs: 30_000,
  leaseEndsAtMs: 123_456.75,
  isUnconfirmed: false,
  ...fields,
});
const open = () => true;

let table: SharedLeaseTable;
let reader: SharedLeaseTableReader;

beforeEach(() => {
  table = new SharedLeaseTable();
  reader = new SharedLeaseTableReader(table.memory);
});

it('what was put up is seen once, as it is, and once more when it is taken down', () => {
  const job = lease();
  const slot = table.put(70_000, job);
  expect(reader.look(open)).toEqual({ held: [{ ...job, runnerIndex: 70_000 }], gone: [] });
  expect(reader.look(open)).toEqual({ held: [], gone: [] });
  table.clear(slot);
  expect(reader.look(open)).toEqual({ held: [], gone: [{ ...job, runnerIndex: 70_000 }] });
  expect(reader.look(open)).toEqual({ held: [], gone: [] });
});

it('a lease that came and went between two looks is never seen, and one in its place is', () => {
  table.clear(table.put(1, lease()));
  expect(reader.look(open)).toEqual({ held: [], gone: [] });
  const former = lease();
  const slot = table.put(1, former);
  reader.look(open);
  table.clear(slot);
  const latter = lease({ jobId: former.jobId });
  table.put(2, latter);
  expect(reader.look(open)).toEqual({ held: [{ ...latter, runnerIndex: 2 }], gone: [{ ...former, runnerIndex: 1 }] });
});

it('a lease of a runner that is not known yet is seen when it is', () => {
  const job = lease();
  table.put(3, job);
  expect(reader.look((runnerIndex) => runnerIndex !== 3)).toEqual({ held: [], gone: [] });
  expect(reader.look(open).held).toMatchObject([{ jobId: job.jobId }]);
});

it('a thread that is started again sees all that stands, and nothing of what is gone', () => {
  table.clear(table.put(1, lease()));
  const jobs = [lease(), lease()];
  for (const job of jobs) table.put(1, job);
  reader.look(open);
  expect(new SharedLeaseTableReader(table.memory).look(open)).toEqual({
    held: jobs.map((job) => ({ ...job, runnerIndex: 1 })),
    gone: [],
  });
});

it('has no room for names that are too long or not plain, nor for more leases than slots', () => {
  expect(table.put(1, lease({ jobId: 'x'.repeat(43) }))).toBe(NO_SLOT);
  expect(table.put(1, lease({ jobId: 'Jöb' }))).toBe(NO_SLOT);
  const slots = Array.from({ length: TABLE_SLOTS }, () => table.put(1, lease()));
  expect(new Set(slots).size).toBe(TABLE_SLOTS);
  expect(slots).not.toContain(NO_SLOT);
  expect(table.put(1, lease())).toBe(NO_SLOT);
  table.clear(slots[7] ?? 0);
  expect(table.put(1, lease())).toBe(slots[7]);
  expect(reader.look(open).held).toHaveLength(TABLE_SLOTS);
});

it('a reader that sleeps is woken once, and one that is awake never', () => {
  expect(table.wakes()).toBe(false);
  reader.fallAsleep();
  expect([table.wakes(), table.wakes()]).toEqual([true, false]);
  reader.fallAsleep();
  reader.stayAwake();
  expect(table.wakes()).toBe(false);
});

it('whatever is put up and taken down, the reader has what stands there', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant('put' as const), fc.constant('look' as const), fc.nat(9)), { maxLength: 60 }),
      (steps) => {
        const [written, read] = [new SharedLeaseTable(), new Map<string, string>()];
        const onlooker = new SharedLeaseTableReader(written.memory);
        const standing: { job: Lease; slot: number }[] = [];
        const look = () => {
          const { held, gone } = onlooker.look(open);
          for (const { leaseToken } of gone) read.delete(leaseToken);
          for (const { leaseToken, jobId } of held) read.set(leaseToken, jobId);
        };
        for (const step of steps) {
          if (step === 'look') look();
          else if (step === 'put') {
            const job = lease();
            standing.push({ job, slot: written.put(1, job) });
          } else for (const { slot } of standing.splice(step, 1)) written.clear(slot);
        }
        look();
        expect(read).toEqual(new Map(standing.map(({ job }) => [job.leaseToken, job.jobId])));
      },
    ),
  );
});
