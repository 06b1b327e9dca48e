import { createContext, runInContext, runInNewContext } from 'node:vm';
import type * as Sdk from '@baton/runner-sdk';
import { NonRetryableError, RetryAfterError, SnoozeError } from '@baton/runner-sdk';
import { delayMsOf, messageOf, reportOf } from '../../runner-sdk/transport/failure';
import { loggable, storable } from '../../runner-sdk/transport/json';

describe('what was thrown', () => {
  const circular: Record<string, unknown> = { message: 'denied', code: '42501' };
  circular['self'] = circular;

  it.each<[string, unknown, object]>([
    [
      'an error of another realm',
      runInNewContext('new TypeError("elsewhere")'),
      { message: 'elsewhere', code: 'TypeError' },
    ],
    ['a numeric code', Object.assign(new Error('E11000'), { code: 11000 }), { message: 'E11000', code: '11000' }],
    ['an object with message and code', circular, { message: 'denied', code: '42501' }],
    ['an error without a message', new RangeError(), { message: 'RangeError', code: 'RangeError' }],
    ['plain data', { status: 503 }, { message: '{"status":503}' }],
    ['what JSON would empty', new Map([['a', 1]]), { message: "Map(1) { 'a' => 1 }" }],
    ['a list of errors', [new Error('a'), new Error('b')], { message: 'a; b' }],
    ['undefined', undefined, { message: 'undefined' }],
    ['a symbol', Symbol('x'), { message: 'Symbol(x)' }],
    ['a BigInt', 10n, { message: '10n' }],
  ])('%s keeps what it says', (_name, thrown, report) => {
    expect(reportOf(thrown)).toMatchObject({ ...report, retryable: true });
  });

  it('an AggregateError brings the errors it holds', async () => {
    const failed = [Promise.reject(new Error('replica A: disk full')), Promise.reject(new Error('B: denied'))];
    const { message, stack } = reportOf(await Promise.any(failed).catch((error: unknown) => error));
    expect(message).toBe('All promises were rejected: replica A: disk full; B: denied');
    expect(stack).toMatch(/replica A: disk full\n +at .*B: denied\n +at /s);
    expect(messageOf(new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]))).toBe(
      '::1 refused; 127.0.0.1 refused',
    );
  });

  it('a cause is told, whether an error, an object or a text, and a circle of them ends', () => {
    expect(reportOf(new Error('outer', { cause: { status: 503, body: 'quota' } })).stack).toContain(
      "Caused by: { status: 503, body: 'quota' }",
    );
    expect(reportOf(new Error('outer', { cause: 'the text' })).stack).toContain("Caused by: 'the text'");
    const ring = new Error('ring');
    ring.cause = ring;
    expect(reportOf(ring).stack?.match(/Caused by/g)).toHaveLength(5);
  });

  it('a getter that throws costs only what it hides', () => {
    const error = Object.defineProperty(new Error('kept'), 'code', {
      get() {
        throw new Error('touched');
      },
    });
    expect(reportOf(error)).toMatchObject({ message: 'kept', code: 'Error' });
  });
});

describe('control errors', () => {
  it('of another copy of the SDK are recognised, and so are what is derived from them', () => {
    jest.isolateModules(() => {
      // eslint-disable-next-line @typescript-eslint/no-require-imports -- a second copy, as another package brings it
      const other = require('@baton/runner-sdk') as typeof Sdk;
      expect(other.NonRetryableError).not.toBe(NonRetryableError);
      class Stolen extends other.NonRetryableError {}
      expect(reportOf(new Stolen('card stolen'))).toMatchObject({ retryable: false, code: 'non_retryable' });
      expect(reportOf(new other.RetryAfterError(5000))).toMatchObject({ retryAfterMs: 5000 });
      expect(new other.SnoozeError(1)).toBeInstanceOf(SnoozeError);
      expect(new NonRetryableError('x')).not.toBeInstanceOf(Stolen);
      expect(new other.SnoozeError(1)).not.toBeInstanceOf(RetryAfterError);
    });
  });

  it.each([
    [5000.4, 5000],
    ['5000', 5000],
    [-1, 0],
    [Infinity, 30 * 86_400_000],
    [NaN, null],
    [undefined, null],
    [new Date(0), null],
  ])('a delay of %p is %p', (given, ms) => {
    expect(delayMsOf(given)).toBe(ms);
  });
});

describe('what JSON would empty', () => {
  class Holder {
    #secret = 1;
    get secret(): number {
      return this.#secret;
    }
  }
  it.each<[unknown, string]>([
    [new Map([['a', 1]]), 'the value is a Map, which JSON cannot hold; give Object.fromEntries(map), or [...map]'],
    [{ ids: new Set([1]) }, 'ids is a Set, which JSON cannot hold; give [...set]'],
    [new Error('x'), 'the value is an Error, which JSON cannot hold; throw it, or give its message'],
    [{ at: new Date(NaN) }, 'at is an invalid Date'],
    [[Promise.resolve(1)], '0 is a Promise, which JSON cannot hold; await it first'],
    [new Holder(), 'the value is a Holder without fields of its own'],
    [new Uint8Array(2), 'the value is a Uint8Array, which JSON cannot hold; give base64 text'],
    [new URLSearchParams('a=1'), 'a URLSearchParams without fields'],
    [/x/, 'a RegExp'],
    [[1].values(), 'the value is an iterator'],
    [(function* () {})(), 'the value is an iterator'],
    [runInNewContext('new Map()'), 'the value is a Map'],
  ])('%p is refused with what to give instead', (value, detail) => {
    expect(storable(value)).toEqual({ isStorable: false, detail: expect.stringContaining(detail) });
  });

  it('records of any realm pass, and so does what says how it is written', () => {
    class Point {
      constructor(readonly x: number) {}
    }
    const realm = createContext({});
    for (const [value, json] of [
      [runInContext('({ list: [{}] })', realm), { list: [{}] }],
      [new Point(1), { x: 1 }],
      [Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
      [
        { at: new Date(0), url: new URL('http://a/') },
        { at: '1970-01-01T00:00:00.000Z', url: 'http://a/' },
      ],
      [{ toJSON: () => null }, null],
    ])
      expect(storable(value)).toMatchObject({ isStorable: true, json });
  });

  it('the reasons of allSettled are written as errors are in log fields', async () => {
    const settled = await Promise.allSettled([Promise.reject(Object.assign(new Error('no'), { code: 'E1' }))]);
    const written = [
      { status: 'rejected', reason: { name: 'Error', message: 'no', code: 'E1', stack: expect.any(String) } },
    ];
    expect(storable(settled)).toMatchObject({ isStorable: true, json: written });
    expect(loggable({ settled })).toEqual({ settled: written });
  });

  it('log fields describe it', () => {
    expect(loggable({ map: new Map([['a', new Set([1])]]), holder: new Holder(), nan: NaN })).toEqual({
      map: [['a', [1]]],
      holder: 'Holder {}',
      nan: 'NaN',
    });
  });
});
