import type { Change, DumpedAttempt, DumpedJob, History, LedgerLine, RowView } from './history';

// Judges a run by its history alone. It knows the promises that are made about jobs, and nothing of how they are kept.

export const RULES = {
  kept: 'a create that was acknowledged is in the database',
  known: 'every job comes from one create, and no create makes two jobs',
  settled: 'every job has finished in the end',
  legal: 'a job changes its status only in the ways that are allowed',
  counted:
    'each claim raises attempt by one, each failure raises failures by one and never past maxAttempts, and every attempt is kept',
  fresh: 'each claim has a token that no claim had before, and keeps it for as long as it runs',
  fenced: 'the result that was taken is the one of the attempt that held the lease',
  once: 'a job finishes once',
  final: 'nothing changes a finished job',
  due: 'no job starts before its time',
  started: 'a handler starts at most once for each attempt, with the runner that claimed it, after the claim',
  done: 'a completed job has a handler that returned',
} as const;
export type Rule = keyof typeof RULES;

export interface Violation {
  rule: Rule;
  jobId: string;
  detail: string;
}

/** How much there was to judge, and how often faults bit. */
export type Coverage = Record<string, number>;

export interface Verdict {
  /** `inconclusive`: nothing was broken, but a fault that the test is about did not bite. */
  kind: 'sound' | 'violated' | 'inconclusive';
  violations: Violation[];
  /** What was to be seen more often. */
  missing: string[];
  coverage: Coverage;
}

/** @param wanted how often each kind of event must have been seen at least, under its name in the coverage. */
export function check(history: History, wanted: Coverage = {}): Verdict {
  const violations: Violation[] = [];
  const report = (rule: Rule, jobId: string, detail: string): void => void violations.push({ rule, jobId, detail });
  checkCreates(history, report);
  const changes = grouped(history.changes);
  const ledger = grouped(history.ledger);
  const attempts = grouped(history.attempts);
  checkTokens(history.changes, report);
  for (const job of history.jobs) {
    const own = changes.get(job.id) ?? [];
    if (!isFinal(job.status)) report('settled', job.id, `it is ${job.status} in the end`);
    checkMoves(job, own, report);
    checkAttempts(job, own, attempts.get(job.id) ?? [], report);
    checkHandlers(job, own, ledger.get(job.id) ?? [], report);
  }
  const coverage = measure(history, ledger);
  const missing = Object.entries(wanted)
    .filter(([name, least]) => (coverage[name] ?? 0) < least)
    .map(([name, least]) => `${name}: ${coverage[name] ?? 0} of at least ${least}`);
  const kind = violations.length > 0 ? 'violated' : missing.length > 0 ? 'inconclusive' : 'sound';
  return { kind, violations, missing, coverage };
}

type Report = (rule: Rule, jobId: string, detail: string) => void;

const FINAL = ['completed', 'failed', 'cancelled'];
const LEGAL: Record<string, string[]> = {
  // A job that is handed to a waiting claim was claimed as it was created.
  '(none)': ['pending', 'running'],
  pending: ['pending', 'running', 'cancelled'],
  running: ['running', 'pending', 'completed', 'failed', 'cancelled'],
};
/** Clocks are read in whole milliseconds by some witnesses. */
const SLACK_MS = 5;

function checkCreates({ creates, jobs }: History, report: Report): void {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const byKey = new Map<string, DumpedJob>();
  const asked = new Map(creates.map((create) => [create.key, create]));
  for (const job of jobs) {
    const other = byKey.get(job.key);
    if (other !== undefined) report('known', job.id, `the create ${job.key} also made ${other.id}`);
    byKey.set(job.key, job);
    if (asked.get(job.key) === undefined) report('known', job.id, `nobody created ${job.key}`);
  }
  for (const { key, outcome, jobId } of creates) {
    if (outcome === 'refused' && byKey.has(key))
      report('known', byKey.get(key)?.id ?? '', `the create ${key} was refused`);
    if (outcome === 'acknowledged' && byId.get(jobId ?? '')?.key !== key)
      report('kept', jobId ?? '', `the create ${key} was acknowledged`);
  }
}

function checkTokens(changes: Change[], report: Report): void {
  const seen = new Set<string>();
  for (const { jobId, was, became } of changes.filter(isClaim)) {
    const token = became?.token ?? null;
    if (token === null || seen.has(token))
      report('fresh', jobId, `attempt ${became?.attempt} got the token of another attempt, or none`);
    if (token === was?.token) report('fresh', jobId, `attempt ${became?.attempt} kept the token of the attempt before`);
    seen.add(token ?? '');
  }
}

function checkMoves(job: DumpedJob, changes: Change[], report: Report): void {
  let finishes = 0;
  for (const { was, became, nowMs } of changes) {
    const [from, to] = [was?.status ?? '(none)', became?.status ?? '(gone)'];
    if (isFinal(from)) report('final', job.id, `it was ${from}, and was changed to ${to}`);
    else if (!(LEGAL[from] ?? []).includes(to)) report('legal', job.id, `it went from ${from} to ${to}`);
    if (isFinal(to) && !isFinal(from)) finishes += 1;
    if (was !== null && became !== null) checkRunning(job, was, became, nowMs, report);
  }
  if (finishes > 1 || (finishes === 0 && isFinal(job.status))) report('once', job.id, `it finished ${finishes} times`);
}

function checkRunning(
  job: DumpedJob,
  was: NonNullable<Change['was']>,
  became: NonNullable<Change['became']>,
  nowMs: number,
  report: Report,
): void {
  if (became.status !== 'running') return;
  if (was.status === 'running' && was.token !== became.token) report('fresh', job.id, 'its token changed while it ran');
  if (was.status === 'pending' && nowMs < (was.runAtMs ?? 0))
    report('due', job.id, `attempt ${became.attempt} came ${(was.runAtMs ?? 0) - nowMs} ms early`);
}

function checkAttempts(job: DumpedJob, changes: Change[], kept: DumpedAttempt[], report: Report): void {
  for (const change of changes) {
    const { was, became } = change;
    if (was === null || became === null) continue;
    if (became.attempt - was.attempt !== (isClaim(change) ? 1 : 0))
      report('counted', job.id, `attempt went from ${was.attempt} to ${became.attempt} as it became ${became.status}`);
    const mayFail = was.status === 'running' && (became.status === 'pending' || became.status === 'failed');
    const failed = became.failures - was.failures;
    if (failed < 0 || failed > (mayFail ? 1 : 0))
      report('counted', job.id, `failures went from ${was.failures} to ${became.failures}`);
  }
  const failures = kept.filter(({ outcome }) => outcome === 'failed' || outcome === 'timed_out').length;
  if (job.failures !== failures)
    report('counted', job.id, `it counts ${job.failures} failures, its attempts ${failures}`);
  if (job.failures > job.maxAttempts)
    report('counted', job.id, `it failed ${job.failures} times, of ${job.maxAttempts} allowed`);
  const numbers = [...kept.map(({ attempt }) => attempt), ...(job.status === 'completed' ? [job.attempt] : [])].sort(
    (a, b) => a - b,
  );
  const isWhole = numbers.length === job.attempt && numbers.every((number, index) => number === index + 1);
  if (isFinal(job.status) && !isWhole)
    report('counted', job.id, `of ${job.attempt} attempts these are kept: ${numbers.join(', ')}`);
}

function checkHandlers(job: DumpedJob, changes: Change[], lines: LedgerLine[], report: Report): void {
  const claims = new Map(changes.filter(isClaim).map((change) => [change.became?.attempt, change]));
  const starts = lines.filter((line) => line.event === 'start');
  const seen = new Set<number>();
  for (const start of starts) {
    const claim = claims.get(start.attempt);
    if (seen.has(start.attempt)) report('started', job.id, `attempt ${start.attempt} started twice`);
    if (claim?.became?.runnerId !== start.runnerId)
      report(
        'started',
        job.id,
        `attempt ${start.attempt} was started by ${start.runnerId}, and claimed by ${claim?.became?.runnerId}`,
      );
    if (claim !== undefined && start.atMs < claim.nowMs - SLACK_MS)
      report('started', job.id, `attempt ${start.attempt} started ${claim.nowMs - start.atMs} ms before its claim`);
    seen.add(start.attempt);
  }
  if (job.status !== 'completed') return;
  const returned = lines.filter((line) => line.event === 'end' && line.attempt === job.attempt);
  if (returned.length !== 1 || returned[0]?.runnerId !== job.runnerId)
    report('done', job.id, `attempt ${job.attempt} returned ${returned.length} times`);
  const claimed = resultOf(job.result);
  if (claimed.attempt !== job.attempt || claimed.key !== job.key || claimed.runnerId !== job.runnerId) {
    report(
      'fenced',
      job.id,
      `attempt ${job.attempt} of ${job.runnerId} held the lease, the result says ${JSON.stringify(job.result)}`,
    );
  }
}

function measure(
  { creates, jobs, attempts, ledger, changes, faults }: History,
  byJob: Map<string, LedgerLine[]>,
): Coverage {
  const count = <T>(items: Iterable<T>, holds: (item: T) => boolean): number => [...items].filter(holds).length;
  const ended = new Set(ledger.filter((line) => line.event !== 'start').map(lineKey));
  return {
    creates: creates.length,
    unknownCreates: count(creates, (create) => create.outcome === 'unknown'),
    completed: count(jobs, (job) => job.status === 'completed'),
    failed: count(jobs, (job) => job.status === 'failed'),
    claims: count(changes, isClaim),
    timedOut: count(attempts, (attempt) => attempt.outcome === 'timed_out'),
    released: count(attempts, (attempt) => attempt.outcome === 'released'),
    lateReports: count(attempts, (attempt) => attempt.hasLateReport),
    /** Handlers that neither returned nor were told to stop: their process died. */
    cutOff: count(ledger, (line) => line.event === 'start' && !ended.has(lineKey(line))),
    aborted: count(ledger, (line) => line.event === 'abort'),
    startedAgain: count(byJob.values(), (lines) => count(lines, (line) => line.event === 'start') > 1),
    ...faults,
  };
}

function lineKey({ jobId, attempt }: LedgerLine): string {
  return `${jobId} ${attempt}`;
}

function isClaim({ was, became }: Change): boolean {
  return became?.status === 'running' && was?.status !== 'running';
}

function isFinal(status: RowView['status']): boolean {
  return FINAL.includes(status);
}

function resultOf(result: unknown): { key?: unknown; attempt?: unknown; runnerId?: unknown } {
  return typeof result === 'object' && result !== null ? result : {};
}

function grouped<T extends { jobId: string }>(items: T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.jobId);
    if (group === undefined) groups.set(item.jobId, [item]);
    else group.push(item);
  }
  return groups;
}
