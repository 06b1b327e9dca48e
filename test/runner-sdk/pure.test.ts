import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { SDK_VERSION } from '@baton/runner-sdk';
import { payloadFault } from '@baton/runner-sdk/protocol';
import { backoffMs, pause, retryDelayMs, within } from '../../runner-sdk/transport/backoff';
import { connectionOf } from '../../runner-sdk/transport/config';
import { retryAfterMsOf } from '../../runner-sdk/transport/transport';
import { loggable, storable } from '../../runner-sdk/transport/json';
import { LogBuffer, sentLines } from '../../runner-sdk/leases/log-buffer';
import { SlotPool } from '../../runner-sdk/runner/slot-pool';
import { reportOf } from '../../runner-sdk/transport/failure';

describe('backoff', () => {
  const backoff = { baseMs: 100, maxMs: 1000 };

  it('doubles up to the cap, with full jitter', () => {
    expect([1, 2, 3, 4, 5, 2000].map((failures) => backoffMs(failures, backoff, () => 1))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ]);
    expect(backoffMs(3, backoff, () => 0)).toBe(0);
    expect(backoffMs(3, backoff, () => 0.5)).toBe(200);
  });

  it('never comes before Retry-After', () => {
    expect(retryDelayMs(1, 3000, backoff, () => 0)).toBe(3000);
    expect(retryDelayMs(1, null, backoff, () => 1)).toBe(100);
  });

  it('a Retry-After of months is five minutes', () => {
    expect(retryDelayMs(1, 5e9, backoff, () => 0)).toBe(300_000);
  });

  it('a pause longer than a timer can be set for does not end at once', async () => {
    const control = new AbortController();
    const ended = Promise.race([
      pause(2 ** 31, control.signal),
      within(50, new Promise(() => undefined)).then(() => 'waits'),
    ]);
    expect(await ended).toBe('waits');
    control.abort();
  });

  it('a pause ends with its signal', async () => {
    const control = new AbortController();
    const paused = pause(60_000, control.signal);
    control.abort(new Error('enough'));
    await expect(paused).rejects.toThrow('enough');
    await expect(pause(60_000, control.signal)).rejects.toThrow('enough');
  });

  it('within gives the value, or nothing in time', async () => {
    expect(await within(60_000, Promise.resolve(1))).toBe(1);
    expect(await within(1, new Promise(() => undefined))).toBeUndefined();
  });
});

describe('Retry-After', () => {
  it.each([
    ['2', 2000],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 4000],
    ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
    ['soon', null],
    ['', null],
    [undefined, null],
  ])('%s is %s ms', (header, ms) => {
    expect(retryAfterMsOf(header, 6000)).toBe(ms);
  });
});

describe('slot pool', () => {
  const claimAll = (pool: SlotPool) => {
    const asked = pool.free;
    pool.reserve(asked);
    pool.settle(asked, asked);
  };

  it('starts at min and doubles to max while claims come back full', () => {
    const pool = new SlotPool({ min: 1, max: 5 });
    const sizes = [pool.size];
    for (let round = 0; round < 4; round += 1) {
      claimAll(pool);
      sizes.push(pool.size);
    }
    expect(sizes).toEqual([1, 2, 4, 5, 5]);
    expect(pool.free).toBe(0);
  });

  it('does not grow on a claim that was not full', () => {
    const pool = new SlotPool({ min: 2, max: 8 });
    pool.reserve(2);
    pool.settle(2, 1);
    expect(pool.size).toBe(2);
  });

  it("reserved slots are nobody else's", () => {
    const pool = new SlotPool(4);
    pool.reserve(3);
    expect(pool.free).toBe(1);
    pool.settle(3, 0);
    expect(pool.free).toBe(4);
  });

  it('shrinks while the event loop lags, and does not grow until it is well', () => {
    const pool = new SlotPool({ min: 2, max: 16 });
    claimAll(pool);
    claimAll(pool);
    expect(pool.size).toBe(8);
    pool.tick(500, 0);
    expect(pool.size).toBe(6);
    claimAll(pool);
    expect(pool.size).toBe(6);
    pool.tick(1, 1000);
    pool.leave();
    claimAll(pool);
    expect(pool.size).toBe(12);
  });

  it('after 10 s shrinks to what was needed', () => {
    const pool = new SlotPool({ min: 1, max: 16 });
    for (let round = 0; round < 4; round += 1) claimAll(pool);
    for (let count = pool.busy; count > 2; count -= 1) pool.leave();
    pool.tick(0, 0);
    pool.tick(0, 10_000);
    expect(pool.size).toBe(8);
    pool.tick(0, 20_000);
    expect(pool.size).toBe(2);
  });

  it.each([[0], [{ min: 3, max: 2 }], [{ max: 1.5 }], [Number.NaN]])('refuses %j', (concurrency) => {
    expect(() => new SlotPool(concurrency)).toThrow('concurrency must be a whole number');
  });

  it('never promises more than it has, whatever happens', () => {
    const event = fc.record({
      kind: fc.constantFrom('claim', 'leave', 'tick'),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 0, max: 50 }),
        fc.array(event),
        (min, more, events) => {
          const pool = new SlotPool({ min, max: min + more });
          let nowMs = 0;
          for (const { kind, share } of events) {
            const asked = pool.free;
            if (kind === 'claim') {
              pool.reserve(asked);
              pool.settle(asked, Math.floor(asked * share));
            } else if (kind === 'leave' && pool.busy > 0) pool.leave();
            else pool.tick(share * 200, (nowMs += share * 20_000));
            expect(pool.size).toBeGreaterThanOrEqual(pool.min);
            expect(pool.size).toBeLessThanOrEqual(pool.max);
            expect(pool.busy).toBeLessThanOrEqual(pool.max);
            expect(pool.free).toBeGreaterThanOrEqual(0);
          }
        },
      ),
    );
  });
});

describe('log buffer', () => {
  const line = (number: number) => ({ level: 'info' as const, message: `line ${number}`, atMs: number });
  const fill = (buffer: LogBuffer, from: number, to: number) => {
    for (let number = from; number <= to; number += 1) buffer.add(line(number));
  };

  it('gives lines back in order, once', () => {
    const buffer = new LogBuffer();
    fill(buffer, 1, 3);
    expect(buffer.takeAll()).toEqual([line(1), line(2), line(3)]);
    expect(buffer.isEmpty).toBe(true);
    expect(buffer.takeAll()).toEqual([]);
  });

  it('keeps the last lines, and marks how many are gone', () => {
    const buffer = new LogBuffer(10);
    fill(buffer, 1, 1000);
    const [mark, ...lines] = buffer.takeAll();
    expect(mark).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('990 log lines dropped here'),
      atMs: 990,
    });
    expect(lines.map(({ atMs }) => atMs)).toEqual([991, 992, 993, 994, 995, 996, 997, 998, 999, 1000]);
  });

  it('puts lines of a failed call back in front', () => {
    const buffer = new LogBuffer();
    fill(buffer, 1, 2);
    const taken = buffer.takeAll();
    fill(buffer, 3, 4);
    buffer.putBack(taken);
    expect(buffer.takeAll().map(({ atMs }) => atMs)).toEqual([1, 2, 3, 4]);
  });

  it('never hands out more than one call may carry', () => {
    const buffer = new LogBuffer();
    fill(buffer, 1, 5000);
    expect(buffer.takeAll()).toHaveLength(1000);
  });

  it('sends ages, never times', () => {
    expect(sentLines([{ level: 'info', message: 'x', atMs: 100 }], 350)).toEqual([
      { level: 'info', message: 'x', ageMs: 250 },
    ]);
  });
});

describe('json', () => {
  it('what it lets through passes the gate as it will be sent', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, maxDepth: 5 }),
        (value) => {
          const stored = storable(value);
          if (stored.isStorable && stored.json !== undefined)
            expect(payloadFault(JSON.parse(JSON.stringify(stored.json)))).toBeNull();
        },
      ),
    );
  });

  it.each([
    [Number.NaN, 'the value is NaN'],
    [{ a: [1, Infinity] }, '1 is Infinity'],
    [10n, 'BigInt'],
    [() => 1, 'a function is not JSON'],
    ['\ud800', 'lone surrogates'],
    [JSON.parse('{"__proto__":1}'), 'key named __proto__'],
  ])('refuses %p', (value, detail) => {
    expect(storable(value)).toEqual({ isStorable: false, detail: expect.stringContaining(detail) });
  });

  it('log fields are never refused', () => {
    const ring: Record<string, unknown> = {};
    ring['ring'] = ring;
    expect(loggable(ring)).toEqual({ dropped: expect.stringContaining('circular') });
    expect(loggable({ big: 10n, error: new TypeError('no') })).toMatchObject({
      big: '10',
      error: { name: 'TypeError', message: 'no' },
    });
    expect(loggable({ text: 'x'.repeat(20_000) })).toEqual({ dropped: expect.stringContaining('over 16000') });
  });

  it('errors are described whatever was thrown', () => {
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error('touched');
        },
        has: () => {
          throw new Error('touched');
        },
        ownKeys: () => {
          throw new Error('touched');
        },
      },
    );
    expect(reportOf(hostile)).toMatchObject({ retryable: true });
    expect(reportOf(undefined)).toMatchObject({ message: 'undefined' });
    expect(reportOf(new Error('outer', { cause: new Error('inner') })).stack).toContain('Caused by: Error: inner');
  });
});

describe('configuration', () => {
  it('takes URLs and key from the environment', () => {
    expect(connectionOf({}, { COORDINATOR_URL: 'http://one:1/, https://two/baton/', RUNNER_KEY: ' key ' })).toEqual({
      urls: ['http://one:1', 'https://two/baton'],
      apiKey: 'key',
    });
  });

  it('prefers what it is given', () => {
    expect(
      connectionOf(
        { coordinatorUrl: ['http://mine'], apiKey: 'mine' },
        { COORDINATOR_URL: 'http://one', RUNNER_KEY: 'key' },
      ),
    ).toEqual({ urls: ['http://mine'], apiKey: 'mine' });
  });

  it.each([
    [{}, 'coordinatorUrl is missing: pass it, or set COORDINATOR_URL'],
    [{ COORDINATOR_URL: 'localhost:3001' }, 'is not an http or https URL'],
    [{ COORDINATOR_URL: 'http://user:pass@one' }, 'must have no user'],
    [{ COORDINATOR_URL: 'http://one' }, 'apiKey is missing: pass it, or set RUNNER_KEY'],
    [{ COORDINATOR_URL: 'http://one', RUNNER_KEY: 'a b' }, 'apiKey has blanks'],
  ])('%j is refused in words', (environment, message) => {
    expect(() => connectionOf({}, environment)).toThrow(message);
  });

  it('sends the version that its package has', () => {
    const { version } = JSON.parse(readFileSync(join(__dirname, '../../runner-sdk/package.json'), 'utf8')) as {
      version: string;
    };
    expect(SDK_VERSION).toBe(version);
  });
});
