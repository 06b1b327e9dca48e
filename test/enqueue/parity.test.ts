import { createJob } from '@baton/runner-sdk/protocol';
import { Pool } from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/database';

// What the contract refuses, the SQL function refuses, and what it lets through, the function lets through.

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = new Pool({ connectionString: database.url, max: 1 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function faultOf(job: Record<string, unknown>): Promise<string | null> {
  const { type, arguments: args, ...options } = job;
  const values = [type, args === undefined ? null : JSON.stringify(args), JSON.stringify(options)];
  return pool.query('SELECT id FROM baton.enqueue($1, $2, $3)', values).then(
    () => null,
    ({ code, message }: { code: string; message: string }) =>
      code === 'BATON' ? message : `not told: ${code} ${message}`,
  );
}

const nested = (depth: number): unknown => (depth === 1 ? [] : [nested(depth - 1)]);
const many = (count: number) => Array.from({ length: count }, () => 0);
const text = (length: number, of = 'x') => of.repeat(length);
const TIMES = [
  ...['2026-01-31T12:00:00Z', '2026-01-31T12:00Z', '2026-01-31T12:00:00.1234567+05:30', '2024-02-29T00:00:00Z'],
  ...['0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', '2026-01-31T23:59:59.999999999-15:59'],
  ...[
    '2026-02-29T00:00:00Z',
    '2026-01-31',
    '2026-01-31T24:00:00Z',
    '2026-01-31T12:00:00',
    '2026-13-01T00:00:00Z',
    'now',
  ],
  ...[
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00+01:00',
    '9999-12-31T23:59:59.999-01:00',
    '2026-01-31T12:00:00+16:00',
  ],
  ...['2026-01-31 12:00:00Z', '2026-01-31T12:00:00z', '+2026-01-31T12:00:00Z', '2026-01-31T12:00:60Z', 'infinity', ''],
];
const NAMES = ['a', 'A_9.:/-', text(200), '_', '9', '', text(201), '-a', 'a b', 'ä', 'a\n', '😀', '.a'];
const TEXTS = (most: number): unknown[] => [
  'x',
  'ä😀',
  text(most),
  text(most, '😀'),
  text(most + 1),
  text(most + 1, '😀'),
  '',
  5,
  null,
  [],
  {},
];
const NUMBERS = (least: number, most: number): unknown[] => [
  least,
  most,
  least - 1,
  most + 1,
  least + 0.5,
  'x',
  '1',
  null,
  true,
  [],
  1e300,
];

const FIELDS: Record<string, unknown[]> = {
  type: [...NAMES],
  queue: [...NAMES, 5, null],
  priority: [...NUMBERS(-100, 100), 'high', 'normal', 'low', 'urgent'],
  runAt: [...TIMES, 5, null],
  expiresAt: [...TIMES],
  delayMs: NUMBERS(0, 315_360_000_000),
  timeoutMs: NUMBERS(1, 604_800_000),
  maxAttempts: NUMBERS(1, 1000),
  uniqueKey: TEXTS(500),
  concurrencyKey: TEXTS(200),
  orderKey: TEXTS(200),
  userId: TEXTS(200),
  onConflict: ['keep', 'drop', '', 5, null],
  orderOnFailure: ['block', 'skip', 'fail', null],
  tags: [
    [],
    ['a'],
    ['a', 'a'],
    [text(100)],
    many(50).map(String),
    many(51).map(String),
    [text(101)],
    [''],
    [5],
    'a',
    {},
    null,
  ],
  retry: [
    ...[
      { strategy: 'exponential' },
      { strategy: 'linear', baseMs: 0 },
      { strategy: 'fixed', maxMs: 2_592_000_000, jitter: 0.5 },
    ],
    ...[
      { strategy: 'exponential', factor: 1 },
      { strategy: 'exponential', factor: 100.5 },
      { strategy: 'exponential', factor: 0.5 },
    ],
    ...[
      { strategy: 'linear', factor: 2 },
      { strategy: 'fixed', jitter: 1.1 },
      { strategy: 'fixed', baseMs: 1.5 },
      { strategy: 'fixed', baseMs: -1 },
    ],
    ...[
      { strategy: 'random' },
      {},
      { strategy: 'fixed', more: 1 },
      { strategy: 'fixed', baseMs: '1' },
      'fixed',
      null,
      [],
    ],
  ],
  ...Object.fromEntries(
    ['requires', 'prefers'].map((name) => [
      name,
      [
        ...[
          {},
          { a: 'x', b: 1.5, c: false },
          { 'a.b:c/d-e': '>=40' },
          Object.fromEntries(many(50).map((_, nth) => [`l${nth}`, nth])),
        ],
        ...[
          Object.fromEntries(many(51).map((_, nth) => [`l${nth}`, nth])),
          { 'a b': 1 },
          { '': 1 },
          { a: '' },
          { a: null },
          { a: [] },
        ],
        ...[{ a: text(201) }, JSON.parse('{"__proto__":1}'), 'a', [], null, 5],
      ],
    ]),
  ),
  arguments: [
    ...[
      'text',
      5,
      true,
      [],
      { a: { b: [null] } },
      nested(64),
      many(9999),
      1e21,
      9007199254740991,
      2 ** 60,
      -0.1,
      { a: 'ä😀\\n' },
    ],
    ...[null, nested(65), many(10_000), 1e22, { a: [1e300] }, 'a\u0000', { 'a\u0000': 1 }, '\ud800', { '\udfff': 1 }],
    ...[JSON.parse('{"__proto__":1}'), { a: [{ constructor: 1 }] }, { a: '__proto__ constructor \\ 1234567890123456' }],
  ],
  metadata: [{}, { a: { b: 1 } }, nested(64), [], 'text', null, 5, { a: 'a\u0000' }, { constructor: 1 }],
  unknownField: [1],
  priorty: [1],
};

const CASES = Object.entries(FIELDS).flatMap(([field, values]) =>
  values.map((value): [string, string, unknown] => [field, JSON.stringify(value).slice(0, 60), value]),
);

test.each(CASES)('%s %s', async (field, _shown, value) => {
  const job = { type: 't', [field]: value };
  const fault = await faultOf(job);
  const isGood = createJob.safeParse(job).success;
  expect(fault).toEqual(isGood ? null : expect.stringMatching(/^validation_failed: /));
  // JSON that holds what nothing can store cannot be taken apart.
  if (fault !== null) expect(fault).toMatch(fault.includes('NUL') ? /arguments|options/ : field);
});

test.each<Record<string, unknown>>([
  { runAt: '2026-01-31T12:00:00Z', delayMs: 0 },
  { uniqueForMs: 1 },
  { onConflict: 'replace' },
  { uniqueKey: 'k', uniqueForMs: 0 },
  { uniqueKey: 'k', uniqueForMs: 1, onConflict: 'replace' },
])('what cannot stand together: %j', async (options) => {
  const fault = await faultOf({ type: 't', ...options });
  expect(fault === null).toBe(createJob.safeParse({ type: 't', ...options }).success);
});

test.each(['callbackUrl', 'dependsOn', 'onDependencyFailure'])('%s is refused in plain words', async (field) => {
  expect(await faultOf({ type: 't', [field]: 'x' })).toBe(
    `validation_failed: ${field} is not taken by enqueue; create such a job with POST /jobs.`,
  );
});

test.each<[string, RegExp | null]>([
  ['9007199254740993', /double precision/],
  ['-9007199254740993', /double precision/],
  ['9007199254740994', null],
  ['18446744073709552000', null],
  ['{"a":[12345678901234567890]}', /double precision/],
  ['123456789.12345678901234', null],
  ['1e400', /between -1e\+21 and 1e\+21/],
  ['1e200000', /numbers/],
  [`${'['.repeat(20_000)}${']'.repeat(20_000)}`, /arguments/],
  ['{"a":1,"a":{"constructor":1}}', /constructor/],
  ['{"\\u005f_proto__":1}', /__proto__/],
  ['"\\u0000"', /NUL/],
  ['"\\\\u0000"', null],
])('arguments that JavaScript would not write: %s', async (args, expected) => {
  const fault = await pool.query("SELECT id FROM baton.enqueue('t', $1)", [args]).then(
    () => null,
    ({ code, message }: { code: string; message: string }) => (code === 'BATON' ? message : `${code} ${message}`),
  );
  expect(fault).toEqual(expected === null ? null : expect.stringMatching(expected));
});

test('idempotency keys, trace and options themselves', async () => {
  const refused = async (options: string) => faultOf({ type: 't', ...(JSON.parse(options) as object) });
  for (const key of ['""', '"a b"', '"ä"', '5', 'null', JSON.stringify(text(256))])
    expect(await refused(`{"idempotencyKey":${key}}`)).toMatch(/^validation_failed: idempotencyKey/);
  expect(await refused('{"traceparent":"x"}')).toMatch(/^validation_failed: traceparent/);
  expect(await refused('{"tracestate":"x\\n"}')).toMatch(/^validation_failed: tracestate/);
  for (const options of ['[]', '"x"', 'null', '5'])
    await expect(pool.query("SELECT baton.enqueue('t', '{}', $1)", [options])).rejects.toThrow(
      /options must be a JSON object/,
    );
  await expect(pool.query("SELECT baton.enqueue('t', '{}', $1)", ['{"userId":"\\u0000"}'])).rejects.toThrow(
    /options must not contain NUL/,
  );
});
