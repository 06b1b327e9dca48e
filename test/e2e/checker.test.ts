import { check, type Rule } from './support/checker';
import type { Change, History, RowView } from './support/history';

// The checker is what the other tests stand on, so it must be seen to object: to each history that was doctored, by
// name.

const JOB = '00000000-0000-7000-8000-000000000001';
const OTHER = '00000000-0000-7000-8000-000000000002';

/** A job whose first runner was killed, and which the second one completed; its first runner's report came late. */
function soundHistory(): History {
  const born = row({ status: 'pending', attempt: 0, token: null, runnerId: null, runAtMs: 1000 });
  const first = row({ status: 'running', attempt: 1, token: 'token-1', runnerId: 'anna', runAtMs: 1000 });
  const again = row({ status: 'pending', attempt: 1, failures: 1, token: null, runnerId: 'anna', runAtMs: 2100 });
  const second = row({ status: 'running', attempt: 2, failures: 1, token: 'token-2', runnerId: 'bert', runAtMs: 2100 });
  const result = { key: 'one', attempt: 2, runnerId: 'bert' };
  const done = row({ ...second, status: 'completed', result, finishedAtMs: 2500 });
  return {
    creates: [
      { key: 'one', outcome: 'acknowledged', jobId: JOB },
      { key: 'two', outcome: 'unknown' },
      { key: 'three', outcome: 'refused' },
    ],
    changes: [
      change(1000, null, born),
      change(1010, born, first),
      change(1500, first, first),
      change(2050, first, again),
      change(2100, again, second),
      change(2500, second, done),
    ],
    ledger: [
      { event: 'start', jobId: JOB, attempt: 1, runnerId: 'anna', atMs: 1020 },
      { event: 'start', jobId: JOB, attempt: 2, runnerId: 'bert', atMs: 2110 },
      { event: 'end', jobId: JOB, attempt: 2, runnerId: 'bert', atMs: 2490 },
    ],
    jobs: [
      { id: JOB, key: 'one', status: 'completed', attempt: 2, failures: 1, maxAttempts: 3, runnerId: 'bert', result },
    ],
    attempts: [{ jobId: JOB, attempt: 1, token: 'token-1', outcome: 'timed_out', hasLateReport: true }],
    faults: { kills: 1 },
  };
}

function row(view: Partial<RowView>): RowView {
  return {
    status: 'pending',
    attempt: 0,
    failures: 0,
    token: null,
    runnerId: null,
    runAtMs: 0,
    finishedAtMs: null,
    result: null,
    error: null,
    ...view,
  };
}

function change(nowMs: number, was: RowView | null, became: RowView | null): Change {
  return { jobId: JOB, nowMs, atMs: nowMs + 1, was, became };
}

function at<T>(items: T[], index: number): T {
  const item = items.at(index);
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

const FORGERIES: { what: string; rule: Rule; forge: (history: History) => void }[] = [
  { what: 'an acknowledged job is gone', rule: 'kept', forge: ({ jobs }) => jobs.splice(0) },
  { what: 'an acknowledged job has another id', rule: 'kept', forge: ({ creates }) => (at(creates, 0).jobId = OTHER) },
  { what: 'one create made two jobs', rule: 'known', forge: ({ jobs }) => jobs.push({ ...at(jobs, 0), id: OTHER }) },
  {
    what: 'a job comes from nowhere',
    rule: 'known',
    forge: ({ jobs }) => jobs.push({ ...at(jobs, 0), id: OTHER, key: 'nobody' }),
  },
  {
    what: 'a refused create made a job',
    rule: 'known',
    forge: ({ jobs }) => jobs.push({ ...at(jobs, 0), id: OTHER, key: 'three' }),
  },
  {
    what: 'a job is left running',
    rule: 'settled',
    forge: ({ jobs, changes }) => (changes.pop(), (at(jobs, 0).status = 'running')),
  },
  {
    what: 'a job is claimed while it runs',
    rule: 'fresh',
    forge: ({ changes }) => (at(changes, 2).became = { ...at(changes, 2).became, token: 'token-9' } as RowView),
  },
  {
    what: 'two claims share a token',
    rule: 'fresh',
    forge: ({ changes }) => ((at(changes, 4).became as RowView).token = 'token-1'),
  },
  {
    what: 'a job completes without running',
    rule: 'legal',
    forge: ({ changes }) => ((at(changes, 5).was as RowView).status = 'pending'),
  },
  {
    what: 'a completed job goes back',
    rule: 'final',
    forge: ({ changes }) => changes.push(change(3000, at(changes, 5).became, row({ attempt: 2, failures: 1 }))),
  },
  {
    what: 'a completed job gets another result',
    rule: 'final',
    forge: ({ changes }) => changes.push(change(3000, at(changes, 5).became, at(changes, 5).became)),
  },
  {
    what: 'a job finishes twice',
    rule: 'once',
    forge: ({ changes }) =>
      changes.push(change(3000, at(changes, 5).was, row({ ...at(changes, 5).became, status: 'failed' }))),
  },
  {
    what: 'a claim skips a number',
    rule: 'counted',
    forge: ({ changes }) => ((at(changes, 1).became as RowView).attempt = 2),
  },
  {
    what: 'a failure is counted twice',
    rule: 'counted',
    forge: ({ changes }) => ((at(changes, 3).became as RowView).failures = 2),
  },
  { what: 'a lost lease is not counted', rule: 'counted', forge: ({ jobs }) => (at(jobs, 0).failures = 0) },
  {
    what: 'an attempt is forgotten',
    rule: 'counted',
    forge: ({ attempts, jobs }) => (attempts.splice(0), (at(jobs, 0).failures = 0)),
  },
  { what: 'a job is tried too often', rule: 'counted', forge: ({ jobs }) => (at(jobs, 0).maxAttempts = 0) },
  {
    what: 'the result is that of a lost attempt',
    rule: 'fenced',
    forge: ({ jobs }) => (at(jobs, 0).result = { key: 'one', attempt: 1, runnerId: 'anna' }),
  },
  {
    what: 'the result is that of another job',
    rule: 'fenced',
    forge: ({ jobs }) => (at(jobs, 0).result = { key: 'two', attempt: 2, runnerId: 'bert' }),
  },
  { what: 'a retry comes before its time', rule: 'due', forge: ({ changes }) => (at(changes, 4).nowMs = 2099) },
  {
    what: 'an attempt starts twice',
    rule: 'started',
    forge: ({ ledger }) => ledger.push({ ...at(ledger, 0), atMs: 1030 }),
  },
  {
    what: 'a runner starts what another one claimed',
    rule: 'started',
    forge: ({ ledger }) => (at(ledger, 0).runnerId = 'bert'),
  },
  {
    what: 'an attempt starts that was never claimed',
    rule: 'started',
    forge: ({ ledger }) => ledger.push({ ...at(ledger, 0), attempt: 3 }),
  },
  { what: 'an attempt starts before its claim', rule: 'started', forge: ({ ledger }) => (at(ledger, 1).atMs = 2050) },
  { what: 'a job completes though no handler returned', rule: 'done', forge: ({ ledger }) => ledger.pop() },
];

it('finds a history sound in which nothing went wrong that may not', () => {
  const verdict = check(soundHistory(), { kills: 1, timedOut: 1, startedAgain: 1, cutOff: 1, lateReports: 1 });
  expect(verdict).toMatchObject({ kind: 'sound', violations: [], missing: [] });
  expect(verdict.coverage).toMatchObject({ claims: 2, completed: 1, unknownCreates: 1 });
});

it.each(FORGERIES)('objects when $what', ({ rule, forge }) => {
  const history = soundHistory();
  forge(history);
  const { kind, violations } = check(history);
  expect(kind).toBe('violated');
  expect(violations.map((violation) => violation.rule)).toContain(rule);
});

it('objects when a job of which no answer is known finished by itself twice over', () => {
  const history = soundHistory();
  history.jobs.push({ ...at(history.jobs, 0), id: OTHER, key: 'two', attempt: 0, failures: 0, result: null });
  expect(
    check(history)
      .violations.filter(({ jobId }) => jobId === OTHER)
      .map(({ rule }) => rule),
  ).toEqual(expect.arrayContaining(['once', 'done', 'fenced']));
});

it('calls a run inconclusive in which the fault did not bite', () => {
  const verdict = check(soundHistory(), { kills: 2, released: 1 });
  expect(verdict.kind).toBe('inconclusive');
  expect(verdict.missing).toEqual(['kills: 1 of at least 2', 'released: 0 of at least 1']);
});
