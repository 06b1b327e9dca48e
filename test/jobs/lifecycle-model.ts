import type { AttemptOutcome, JobStatus } from '@baton/runner-sdk/protocol';
import { TRANSITIONS, type Verb } from '../../coordinator/domain/jobs/transitions';

// What should be true of a handful of jobs, held in memory and written independently of the coordinator's own
// decisions.

export interface ModelAttempt {
  attempt: number;
  token: string;
  claimId: string | null;
  outcome: AttemptOutcome;
  /** What ended it, to tell a repeated report from another one. */
  report: string | null;
  /** What its report was answered with. */
  reply: { status: string } | null;
  late: string | null;
}

export interface ModelJob {
  id: string;
  /** Null: deleted. */
  status: JobStatus | null;
  priority: number;
  isDue: boolean;
  attempt: number;
  failures: number;
  maxAttempts: number;
  /** Whether it waits an hour before it is tried again, or not at all. */
  isSlow: boolean;
  uniqueKey: string | null;
  reason: string | null;
  result: string | null;
  error: string | null;
  checkpoint: number | null;
  attempts: ModelAttempt[];
  parents: ModelParent[];
}

/** Something that a job depends on. */
export interface ModelParent {
  job: ModelNode;
  /** Under which the child finds it; default: its id. */
  key?: string;
  /** How it ended, as far as the child knows; null: it is waited for. */
  outcome: 'completed' | 'failed' | 'cancelled' | null;
  isTolerated: boolean;
  /** The child was retried although it had not completed. */
  isWaived: boolean;
}

/** A gate of a workflow of its own, with one job after it. */
export interface ModelGate {
  workflowId: string;
  node: ModelNode;
}

/** Something other than a claimable job that jobs wait for: a gate, or a batch. */
export type ModelNode = Pick<ModelJob, 'id' | 'status' | 'reason' | 'result'>;

export interface Model {
  type: string;
  jobs: ModelJob[];
  gates: ModelGate[];
  /** Open batches, and sealed ones, that jobs gave themselves back for. */
  batches: ModelNode[];
}

/** Under which key gates stand in their workflows. */
export const GATE_KEY = 'approve';

/** A status and a code, as a refusal has them. */
export type Verdict = [200] | [number, string];

export const edgeName = (verb: Verb, from: JobStatus | null, to: JobStatus | null): string =>
  `${verb}: ${from ?? '(none)'} -> ${to ?? '(none)'}`;
export const ALL_EDGES = TRANSITIONS.map(({ verb, from, to }) => edgeName(verb, from, to));

/** Moves a job, and remembers which edge it took; and with it the jobs that depend on it. */
export function move<Moved extends ModelNode>(
  edges: Set<string>,
  job: Moved,
  verb: Verb,
  to: JobStatus | null,
  changes: Partial<Moved> = {},
  all: ModelJob[] = [],
): void {
  edges.add(edgeName(verb, job.status, to));
  Object.assign(job, changes, { status: to });
  follow(edges, job, to, all);
}

/** What the end of a job, gate or batch means for those that wait for it. */
export function follow(edges: Set<string>, job: ModelNode, to: JobStatus | null, all: ModelJob[]): void {
  if (to !== 'completed' && to !== 'failed' && to !== 'cancelled') return;
  const waiting = all.flatMap(({ parents }) => parents).filter((one) => one.job === job && one.outcome === null);
  for (const parent of waiting) parent.outcome = to;
  for (const child of all) checkParents(edges, child, all);
}

/** A blocked job goes on when all that it depends on have ended, and ends with the first that it does not tolerate. */
export function checkParents(edges: Set<string>, child: ModelJob, all: ModelJob[]): void {
  if (child.status !== 'blocked') return;
  const faults = child.parents.filter(
    ({ outcome, isTolerated, isWaived }) =>
      (outcome === 'failed' || outcome === 'cancelled') && !isTolerated && !isWaived,
  );
  if (faults.length > 0) {
    const reason = faults.some(({ outcome }) => outcome === 'failed') ? 'dependency_failed' : 'dependency_cancelled';
    move(edges, child, 'unblock', 'cancelled', { reason }, all);
  } else if (child.parents.every(({ outcome }) => outcome !== null)) move(edges, child, 'unblock', 'pending');
}

export const isOneOf = (status: JobStatus | null, ...allowed: JobStatus[]): boolean =>
  status !== null && allowed.includes(status);

/** What a verb of a client is answered with when the job's status must be one of these. */
export function clientVerdict(job: ModelJob, ...allowed: JobStatus[]): Verdict {
  if (job.status === null) return [404, 'not_found'];
  return isOneOf(job.status, ...allowed) ? [200] : [409, 'state_conflict'];
}

export function holderOf(model: Model, uniqueKey: string | null, except?: ModelJob): ModelJob | undefined {
  if (uniqueKey === null) return undefined;
  return model.jobs.find(
    (job) => job !== except && job.uniqueKey === uniqueKey && isOneOf(job.status, 'blocked', 'pending', 'running'),
  );
}

export function isCurrent(job: ModelJob, attempt: ModelAttempt): boolean {
  return job.status === 'running' && job.attempts.at(-1) === attempt;
}

/** What a report is answered with whose token no longer moves the job. */
export function staleVerdict(
  job: ModelJob,
  attempt: ModelAttempt,
  verb: 'heartbeat' | 'release' | 'complete',
  report: string | null,
): Verdict {
  if (job.status === null) return [404, 'not_found'];
  switch (attempt.outcome) {
    case 'cancelled':
      return [409, 'job_cancelled'];
    case 'released':
      return verb === 'release' ? [200] : [409, 'lease_lost'];
    case 'completed':
    case 'failed':
      if (verb !== 'complete') return [409, 'lease_lost'];
      return attempt.report === report ? [200] : [409, 'state_conflict'];
    default:
      return [409, 'lease_lost'];
  }
}

/** The one rule for failures: tried again while tries are left. */
export function failModel(
  edges: Set<string>,
  job: ModelJob,
  outcome: 'failed' | 'timed_out',
  error: string,
  isRetryable: boolean,
  report: string | null,
  all: ModelJob[],
): void {
  const attempt = job.attempts.at(-1);
  const failures = job.failures + 1;
  const to = isRetryable && failures < job.maxAttempts ? 'pending' : 'failed';
  move(edges, job, 'fail', to, { failures, error, isDue: !job.isSlow }, all);
  if (attempt !== undefined) Object.assign(attempt, { outcome, report, reply: { status: to } });
}
