import { DEFAULT_RETRY } from '@baton/runner-sdk/protocol';
import { createdText } from '../../coordinator/http/render/created-text';
import { renderJob } from '../../coordinator/http/render/jobs';
import { type InsertJob, type InsertedJob, insertedRow } from '../../coordinator/store/jobs';

const at = new Date('2026-11-24T19:44:40.855Z');
const inserted: InsertedJob = {
  id: '0198b7d0-0000-7000-8000-000000000001',
  runAt: at,
  createdAt: at,
  uniqueUntil: null,
  position: at,
  hold: null,
  orderSeq: null,
  dueInMs: 0,
  lease: null,
};
const plain: InsertJob = {
  id: inserted.id,
  type: 't',
  queue: 'default',
  priority: 0,
  laneId: 1,
  arguments: {},
  timeoutMs: 300_000,
  maxAttempts: 11,
  orderBlocks: false,
  tags: [],
};
const full: InsertJob = {
  ...plain,
  type: 'a"type',
  queue: 'q:1',
  priority: -10,
  arguments: { deep: [1, { a: 'ü"\n' }] },
  timeoutMs: 1,
  maxAttempts: 2,
  tags: ['a"', 'b'],
  retry: { ...DEFAULT_RETRY, baseMs: 1 },
  uniqueKey: 'u"',
  requires: { gpu: true },
  prefers: { zone: 'a"' },
  metadata: { m: null },
  userId: 'u"1',
  concurrencyKey: 'c"',
  orderKey: 'o"',
  orderBlocks: true,
  expiresAt: '2027-01-01T00:00:00.5+01:00',
  callback: { url: 'https://example.com/"', userId: null },
};
test.each([
  ['with nothing that may be left out', insertedRow(plain, inserted)],
  [
    'with all that may be there',
    insertedRow(full, { ...inserted, runAt: new Date('2026-12-01T00:00:00Z'), position: null, hold: 'order' }),
  ],
])('a job %s is written as it is rendered', (_name, row) => {
  const text = createdText(row);
  expect(text).toBe(JSON.stringify(renderJob(row)));
});
