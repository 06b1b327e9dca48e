import { claimReply } from '@baton/runner-sdk/protocol';
import { types } from 'pg';
import { z } from 'zod';
import { isReadableText } from '../../coordinator/domain/jobs/unreadable';
import { claimedTexts } from '../../coordinator/http/render/claimed-text';
import type { ClaimedRow } from '../../coordinator/store/jobs';
import { isoTime, readTime } from '../../coordinator/store/values';

// Rows that are read and written as text, without an object in between.

const TIMESTAMPTZ = 1184;
const readByDriver = types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date;

test.each([
  '2026-11-24 19:44:40.855123+00',
  '2026-11-24 19:44:40.85512+00',
  '2026-11-24 19:44:40.855+00',
  '2026-11-24 19:44:40.85+00',
  '2026-11-24 19:44:40.8+00',
  '2026-11-24 19:44:40+00',
  '2024-02-29 23:59:59.999999+00',
  '1000-01-01 00:00:00+00',
  '9999-12-31 23:59:59.999+00',
  '0099-01-01 00:00:00+00',
  '12026-11-24 19:44:40+00',
  '2026-11-24 19:44:40.855123+05:30',
  '2026-11-24 19:44:40-02',
  '0044-03-15 12:00:00+00 BC',
])('a time that PostgreSQL prints as %s reads as the driver reads it', (text) => {
  expect(readTime(text)).toEqual(readByDriver(text));
  expect(isoTime(text)).toBe(readByDriver(text).toISOString());
});

const row: ClaimedRow = {
  id: '0198b7d0-0000-7000-8000-000000000001',
  type: 'a"type',
  queue: 'default',
  laneId: 1,
  arguments: '{"a": [1, 2.50, "\\u00e4"]}',
  attempt: 2,
  maxAttempts: 11,
  timeoutMs: 5000,
  metadata: null,
  tags: [],
  userId: null,
  workflowId: null,
  checkpoint: null,
  concurrencyKey: null,
  trace: null,
  dependsOn: null as unknown as string[],
  position: new Date(0),
  runnerId: 'r',
  leaseToken: '0198b7d0-0000-4000-8000-000000000002',
  leaseMs: 30_000,
  leaseExpiresAt: '2026-11-24T19:44:40.855Z',
  deadlineAt: '2026-11-24T19:44:50.000Z',
  waitMs: 1,
  slot: 0,
  repeated: false,
};

test('claimed jobs are written as the contract says, payloads as they are stored', () => {
  const full: ClaimedRow = {
    ...row,
    metadata: '{"m":"x"}',
    tags: ['a"b', 'c'],
    userId: 'ü"1',
    checkpoint: '[1]',
    trace: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=b,c=d',
  };
  const jobs = z
    .array(claimReply.shape.jobs.element.strict())
    .parse(JSON.parse(`[${claimedTexts([row, full]).join(',')}]`));
  expect(jobs[0]).toMatchObject({
    id: row.id,
    type: 'a"type',
    arguments: { a: [1, 2.5, 'ä'] },
    metadata: null,
    tags: [],
    userId: null,
    checkpoint: null,
    traceparent: null,
  });
  expect(jobs[1]).toMatchObject({
    metadata: { m: 'x' },
    tags: ['a"b', 'c'],
    userId: 'ü"1',
    checkpoint: [1],
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    tracestate: 'a=b,c=d',
  });
  expect(claimedTexts([])).toEqual([]);
});

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

test.each([
  [null, true],
  ['{}', true],
  ['{"a":"\\\\u0000"}', true],
  ['1e30', true],
  [nested(200), true],
  [nested(201), false],
  [`{"long":"${'x'.repeat(500)}"}`, true],
  ['{"a":"\\u0000"}', false],
  ['{"\\u0000":1}', false],
  ['1e400', false],
  ['[1E+0400]', false],
  [`${'9'.repeat(350)}`, false],
  [`${'9'.repeat(250)}e90`, false],
])('whether a runner can read JSON text (case %#)', (text, isReadable) => {
  expect(isReadableText(text)).toBe(isReadable);
});
