import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { BOARD_SLOTS, LeaseBoard, LeaseBoardReader, NO_SLOT } from '../../runner-sdk/lease-board';
import type { HeldJob } from '../../runner-sdk/lease-keeper';

const lease = (fields: Partial<HeldJob> = {}): HeldJob => ({
  jobId: randomUUID(),
  leaseToken: randomUUID(),
  leaseMs: 30_000,
  leaseEndsAtMs: 123_456.75,
  isUnconfirmed: false,
  ...fields,
});
const open = () => true;

let board: LeaseBoard;
let reader: LeaseBoardReader;

beforeEach(() => {
  board = new LeaseBoard();
  reader = new LeaseBoardReader(board.memory);
});

it('what was put up is seen once, as it is, and once more when it is taken down', () => {
  const job = lease();
  const slot = board.put(70_000, job);
  expect(reader.look(open)).toEqual({ held: [{ ...job, member: 70_000 }], gone: [] });
  expect(reader.look(open)).toEqual({ held: [], gone: [] });
  board.clear(slot);
  expect(reader.look(open)).toEqual({ held: [], gone: [{ ...job, member: 70_000 }] });
  expect(reader.look(open)).toEqual({ held: [], gone: [] });
});

it('a lease that came and went between two looks is never seen, and one in its place is', () => {
  board.clear(board.put(1, lease()));
  expect(reader.look(open)).toEqual({ held: [], gone: [] });
  const former = lease();
  const slot = board.put(1, former);
  reader.look(open);
  board.clear(slot);
  const latter = lease({ jobId: former.jobId });
  board.put(2, latter);
  expect(reader.look(open)).toEqual({ held: [{ ...latter, member: 2 }], gone: [{ ...former, member: 1 }] });
});

it('a lease of a runner that is not known yet is seen when it is', () => {
  const job = lease();
  board.put(3, job);
  expect(reader.look((member) => member !== 3)).toEqual({ held: [], gone: [] });
  expect(reader.look(open).held).toMatchObject([{ jobId: job.jobId }]);
});

it('a thread that is started again sees all that stands, and nothing of what is gone', () => {
  board.clear(board.put(1, lease()));
  const jobs = [lease(), lease()];
  for (const job of jobs) board.put(1, job);
  reader.look(open);
  expect(new LeaseBoardReader(board.memory).look(open)).toEqual({
    held: jobs.map((job) => ({ ...job, member: 1 })),
    gone: [],
  });
});

it('has no room for names that are too long or not plain, nor for more leases than slots', () => {
  expect(board.put(1, lease({ jobId: 'x'.repeat(43) }))).toBe(NO_SLOT);
  expect(board.put(1, lease({ jobId: 'Jöb' }))).toBe(NO_SLOT);
  const slots = Array.from({ length: BOARD_SLOTS }, () => board.put(1, lease()));
  expect(new Set(slots).size).toBe(BOARD_SLOTS);
  expect(slots).not.toContain(NO_SLOT);
  expect(board.put(1, lease())).toBe(NO_SLOT);
  board.clear(slots[7] ?? 0);
  expect(board.put(1, lease())).toBe(slots[7]);
  expect(reader.look(open).held).toHaveLength(BOARD_SLOTS);
});

it('a reader that sleeps is woken once, and one that is awake never', () => {
  expect(board.wakes()).toBe(false);
  reader.fallAsleep();
  expect([board.wakes(), board.wakes()]).toEqual([true, false]);
  reader.fallAsleep();
  reader.stayAwake();
  expect(board.wakes()).toBe(false);
});

it('whatever is put up and taken down, the reader has what stands there', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant('put' as const), fc.constant('look' as const), fc.nat(9)), { maxLength: 60 }),
      (steps) => {
        const [written, read] = [new LeaseBoard(), new Map<string, string>()];
        const onlooker = new LeaseBoardReader(written.memory);
        const standing: { job: HeldJob; slot: number }[] = [];
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
