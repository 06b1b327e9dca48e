import { DEFAULT_RETRY, type NewJob } from '@baton/runner-sdk/protocol';
import { NOBODY } from '../../coordinator/http/authenticate';
import { insertedRow } from '../../coordinator/domain/jobs/job-candidate';
import { createdText } from '../../coordinator/http/created-text';
import { renderJob } from '../../coordinator/http/render';
import type { InsertJob, InsertedJob } from '../../coordinator/store/jobs';

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
  callback: { url: 'https://example.com/"', userId: null },
};
const draftOf = (row: InsertJob, job: Partial<NewJob> = {}) => ({
  row,
  job: job as NewJob,
  onConflict: 'keep' as const,
  caller: NOBODY,
});

test.each([
  ['with nothing that may be left out', insertedRow(draftOf(plain), inserted)],
  [
    'with all that may be there',
    insertedRow(draftOf(full, { expiresAt: '2027-01-01T00:00:00.5+01:00' }), {
      ...inserted,
      runAt: new Date('2026-12-01T00:00:00Z'),
      position: null,
      hold: 'order',
    }),
  ],
])('a job %s is written as it is rendered', (_name, row) => {
  const text = createdText(row);
  expect(text).toBe(JSON.stringify(renderJob(row)));
});
