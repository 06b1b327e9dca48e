import { EventEmitter, once } from 'node:events';
import { BatonError } from '@baton/runner-sdk';
import { monotonicMs } from '../../runner-sdk/transport/clock';
import { LeaseKeeper, type Lease, type KeeperEvent } from '../../runner-sdk/leases/lease-keeper';
import type { HeartbeatsInput, HeartbeatsReply } from '@baton/runner-sdk/protocol';

type Reply = HeartbeatsReply | Error;

let keeper: LeaseKeeper;
const events: KeeperEvent[] = [];
const beats: HeartbeatsInput[] = [];
const heard = new EventEmitter();

afterEach(() => {
  jest.useRealTimers();
  keeper.close();
  events.length = 0;
  beats.length = 0;
});

function keep(answer: (body: HeartbeatsInput) => Reply | Promise<Reply>): void {
  keeper = new LeaseKeeper({
    runnerId: 'runner',
    emit: (event) => {
      events.push(event);
      heard.emit(event.kind);
    },
    send: async (body) => {
      beats.push(body);
      setImmediate(() => heard.emit('sent'));
      const reply = await answer(body);
      setImmediate(() => heard.emit('beat'));
      if (reply instanceof Error) throw reply;
      return reply;
    },
  });
}

/** From here on time passes only in `pass`, so that no lease ends because the machine was elsewhere. */
function stopTime(): void {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
}

async function pass(mostMs: number, isEnough: () => boolean): Promise<void> {
  for (let passed = 0; !isEnough(); passed += 10) {
    if (passed > mostMs) throw new Error(`not within ${mostMs} ms; told: ${JSON.stringify(events)}`);
    await jest.advanceTimersByTimeAsync(10);
  }
}

const extended = (body: HeartbeatsInput): HeartbeatsReply => ({
  jobs: body.jobs.map(({ jobId }) => ({ jobId, leaseExpiresAt: '' })),
  directives: {},
});
const held = (jobId: string, fields: Partial<Lease> = {}): Lease => {
  const leaseMs = fields.leaseMs ?? 30_000;
  return {
    jobId,
    leaseToken: `token-${jobId}`,
    leaseMs,
    leaseEndsAtMs: monotonicMs() + leaseMs,
    isUnconfirmed: false,
    ...fields,
  };
};

it('beats after a third of the lease, for all jobs that are near', async () => {
  keep(extended);
  keeper.hold([held('a', { leaseMs: 300 }), held('b', { leaseMs: 300 }), held('far')]);
  await once(heard, 'beat');
  expect(beats[0]).toEqual({
    runnerId: 'runner',
    jobs: [
      { jobId: 'a', leaseToken: 'token-a' },
      { jobId: 'b', leaseToken: 'token-b' },
    ],
  });
});

it('a checkpoint goes out at once, the latest progress with it, and neither twice', async () => {
  keep(extended);
  keeper.hold([held('a')]);
  keeper.addUpdates([
    {
      leaseToken: 'token-a',
      update: { progress: { percent: 1 }, logs: [{ level: 'info', message: 'x', atMs: monotonicMs() }] },
    },
  ]);
  keeper.addUpdates([{ leaseToken: 'token-a', update: { progress: { percent: 2 }, checkpoint: { at: 1 } } }]);
  await once(heard, 'beat');
  expect(beats[0]?.jobs).toMatchObject([
    { progress: { percent: 2 }, checkpoint: { at: 1 }, logs: [{ level: 'info', message: 'x' }] },
  ]);
  expect(await keeper.withdraw('token-a')).toEqual({});
});

it('what a beat could not deliver is said again, unless it was said anew', async () => {
  keep(() => new BatonError({ code: 'unreachable', status: 0, detail: 'gone' }));
  keeper.hold([held('a')]);
  const line = { level: 'info' as const, message: 'x', atMs: monotonicMs() };
  keeper.addUpdates([{ leaseToken: 'token-a', update: { progress: { percent: 1 }, checkpoint: 'old', logs: [line] } }]);
  keeper.addUpdates([{ leaseToken: 'wrong-token', update: { progress: { percent: 99 } } }]);
  await once(heard, 'beat');
  expect(events).toEqual([expect.objectContaining({ kind: 'notice', level: 'warn' })]);
  keeper.addUpdates([{ leaseToken: 'token-a', update: { checkpoint: 'new' } }]);
  expect(await keeper.withdraw('token-a')).toEqual({ progress: { percent: 1 }, checkpoint: 'new', logs: [line] });
});

it.each([400, 413])('a beat refused with %i loses what was said, and keeps the lease', async (status) => {
  let count = 0;
  keep((body) =>
    (count += 1) === 1 ? new BatonError({ code: 'validation_failed', status, detail: 'no' }) : extended(body),
  );
  keeper.hold([held('a', { leaseMs: 4000 })]);
  keeper.addUpdates([{ leaseToken: 'token-a', update: { checkpoint: 'bad' } }]);
  await once(heard, 'beat');
  await once(heard, 'beat');
  expect(beats[1]?.jobs).toEqual([{ jobId: 'a', leaseToken: 'token-a' }]);
  expect(events.filter(({ kind }) => kind === 'lost')).toEqual([]);
});

it('a beat that got no answer is sent again while a short lease still stands', async () => {
  const random = jest.spyOn(Math, 'random').mockReturnValue(0.99);
  let count = 0;
  keep((body) =>
    (count += 1) === 1 ? new BatonError({ code: 'unreachable', status: 0, detail: 'gone' }) : extended(body),
  );
  stopTime();
  keeper.hold([held('a', { leaseMs: 1000 })]);
  await pass(2000, () => count === 2);
  random.mockRestore();
  expect(events.filter(({ kind }) => kind === 'lost')).toEqual([]);
});

it.each([403, 500])('words that the whole beat is answered %i for do not cost the leases', async (status) => {
  keep((body) =>
    body.jobs.some(({ logs }) => logs !== undefined)
      ? new BatonError({ code: 'unexpected_reply', status, detail: 'no' })
      : extended(body),
  );
  stopTime();
  keeper.hold([held('quiet', { leaseMs: 600 }), held('loud', { leaseMs: 600 })]);
  keeper.addUpdates([
    { leaseToken: 'token-loud', update: { logs: [{ level: 'info', message: '<script>', atMs: monotonicMs() }] } },
  ]);
  const kept = () =>
    beats.filter(({ jobs }) => jobs.length === 2 && jobs.every(({ logs }) => logs === undefined)).length;
  await pass(5000, () => kept() === 2);
  expect(events.filter(({ kind }) => kind === 'lost')).toEqual([]);
  expect((await keeper.withdraw('token-loud')).logs).toMatchObject([{ message: '<script>' }]);
});

it('an answer about an old lease does not touch the new one of the same job', async () => {
  let answer: (reply: Reply) => void = () => undefined;
  keep(() => new Promise<Reply>((resolve) => (answer = resolve)));
  keeper.hold([held('a', { isUnconfirmed: true })]);
  await once(heard, 'sent');
  keeper.letGo([{ leaseToken: 'token-a' }]);
  keeper.hold([held('a', { leaseToken: 'token-new' })]);
  answer({ jobs: [{ jobId: 'a', code: 'lease_lost', detail: 'lost' }], directives: {} });
  await once(heard, 'beat');
  expect(events).toEqual([]);
});

it('says when a lease ended by its own clock', async () => {
  keep(() => new Promise<Reply>(() => undefined));
  keeper.hold([held('a', { leaseMs: 50, leaseEndsAtMs: monotonicMs() - 1 })]);
  await once(heard, 'lost');
  expect(events).toEqual([{ kind: 'lost', jobs: [{ leaseToken: 'token-a', code: 'lease_expired' }] }]);
});

it('says so in time also while a beat is in flight', async () => {
  keep(() => new Promise<Reply>(() => undefined));
  keeper.hold([held('a', { leaseMs: 150 })]);
  await once(heard, 'sent');
  await once(heard, 'lost', { signal: AbortSignal.timeout(2000) });
  expect(events).toEqual([{ kind: 'lost', jobs: [{ leaseToken: 'token-a', code: 'lease_expired' }] }]);
  expect(beats).toHaveLength(1);
});

it.each(['unavailable', 'validation_failed'] as const)(
  'a lease that was answered %s is asked for again later, not at once',
  async (code) => {
    keep((body) => ({ jobs: body.jobs.map(({ jobId }) => ({ jobId, code, detail: 'not now' })), directives: {} }));
    keeper.hold([held('a', { leaseMs: 600 })]);
    await once(heard, 'lost');
    expect(beats.length).toBeLessThan(6);
  },
);

it('a former lease of a job that was claimed again is asked for too, and its loss is told', async () => {
  keep((body) => ({
    jobs: body.jobs.map(({ jobId, leaseToken }) =>
      leaseToken === 'token-a' ? { jobId, code: 'lease_lost' as const, detail: 'lost' } : { jobId, leaseExpiresAt: '' },
    ),
    directives: {},
  }));
  keeper.hold([held('a', { leaseMs: 300 })]);
  keeper.hold([held('a', { leaseMs: 300, leaseToken: 'token-new' })]);
  await once(heard, 'lost');
  expect(events).toEqual([{ kind: 'lost', jobs: [{ leaseToken: 'token-a', code: 'lease_lost' }] }]);
  await once(heard, 'beat');
  await once(heard, 'beat');
  expect(beats[1]?.jobs).toEqual([{ jobId: 'a', leaseToken: 'token-new' }]);
});

it('leases that are due go before the words of those that are not, however much these say', async () => {
  const talkers = Array.from({ length: 1000 }, (_one, index) => held(`job-${index}`));
  const talk = () =>
    keeper.addUpdates(talkers.map(({ leaseToken }) => ({ leaseToken, update: { progress: { percent: 1 } } })));
  keep((body) => (talk(), extended(body)));
  keeper.hold([...talkers, held('quiet', { leaseMs: 600 })]);
  talk();
  await once(heard, 'beat');
  await once(heard, 'beat');
  await once(heard, 'beat');
  expect(beats.slice(1).every(({ jobs }) => jobs.some(({ jobId }) => jobId === 'quiet'))).toBe(true);
});

it('takes each of many that speak at once, and that are taken one by one, without a look at all others', () => {
  keep(extended);
  const many = Array.from({ length: 1000 }, (_one, index) => held(`job-${index}`));
  const looks = jest.spyOn(Object.getPrototypeOf(new Map().values()) as Iterator<unknown>, 'next');
  for (const job of many) keeper.hold([job]);
  keeper.addUpdates(many.map(({ leaseToken }) => ({ leaseToken, update: { progress: { percent: 1 } } })));
  const count = looks.mock.calls.length;
  looks.mockRestore();
  // None would say that looks are not counted any more.
  expect(count).toBeGreaterThan(0);
  expect(count).toBeLessThan(4 * many.length);
});

it('asks at once for a lease in doubt, and says when it stands', async () => {
  keep(extended);
  keeper.hold([held('a', { isUnconfirmed: true })]);
  await once(heard, 'confirmed');
  expect(events).toEqual([{ kind: 'confirmed', leaseTokens: ['token-a'] }]);
});

it('passes directives on when they change', async () => {
  keep((body) => ({ ...extended(body), directives: { drain: true } }));
  keeper.hold([held('a', { leaseMs: 90 })]);
  await once(heard, 'beat');
  await once(heard, 'beat');
  expect(events).toEqual([{ kind: 'directives', directives: { drain: true } }]);
});
