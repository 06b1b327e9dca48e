import type { JobStatus } from '@baton/runner-sdk/protocol';

export type Verb =
  | 'create'
  | 'unblock'
  | 'claim'
  | 'complete'
  | 'fail'
  | 'release'
  | 'cancel'
  | 'expire'
  | 'retry'
  | 'edit'
  | 'decide'
  | 'remove';

export interface Transition {
  verb: Verb;
  from: JobStatus | null;
  to: JobStatus | null;
  when: string;
}

/** All allowed transitions. `docs/state-machine.md` is generated from this table. */
export const TRANSITIONS: readonly Transition[] = [
  { verb: 'create', from: null, to: 'pending', when: 'created' },
  { verb: 'create', from: null, to: 'blocked', when: 'created while a job that it depends on is unfinished' },
  {
    verb: 'create',
    from: null,
    to: 'running',
    when: 'created while a claim waits for it: created and claimed in one commit',
  },
  { verb: 'unblock', from: 'blocked', to: 'pending', when: 'the last job that it depends on has ended as it must' },
  {
    verb: 'unblock',
    from: 'blocked',
    to: 'cancelled',
    when: 'a job that it depends on failed or was cancelled: reason dependency_failed or dependency_cancelled',
  },
  { verb: 'claim', from: 'pending', to: 'running', when: 'a runner claims it: attempt + 1, a new lease token' },
  { verb: 'complete', from: 'running', to: 'completed', when: 'its runner reports the outcome completed' },
  {
    verb: 'fail',
    from: 'running',
    to: 'pending',
    when: 'a retryable failure, or a timeout, with tries left: failures + 1, runAt = now + backoff',
  },
  {
    verb: 'fail',
    from: 'running',
    to: 'failed',
    when: 'a failure that is not retryable, or no tries left: it is in the dead-letter queue',
  },
  { verb: 'release', from: 'running', to: 'pending', when: 'its runner gives it back: no failure is counted' },
  { verb: 'release', from: 'running', to: 'blocked', when: 'the same, until a workflow or batch has ended' },
  { verb: 'cancel', from: 'pending', to: 'cancelled', when: 'cancelled' },
  { verb: 'cancel', from: 'blocked', to: 'cancelled', when: 'cancelled' },
  { verb: 'cancel', from: 'running', to: 'cancelled', when: 'cancelled: the lease ends at once' },
  { verb: 'expire', from: 'pending', to: 'cancelled', when: 'expiresAt passed: reason expired' },
  { verb: 'expire', from: 'blocked', to: 'cancelled', when: 'expiresAt passed: reason expired' },
  { verb: 'retry', from: 'failed', to: 'pending', when: 'retried by hand: failures starts again at 0' },
  { verb: 'retry', from: 'cancelled', to: 'pending', when: 'retried by hand: failures starts again at 0' },
  {
    verb: 'retry',
    from: 'failed',
    to: 'blocked',
    when: 'the same, while a job that it depends on is unfinished',
  },
  {
    verb: 'retry',
    from: 'cancelled',
    to: 'blocked',
    when: 'the same, while a job that it depends on is unfinished',
  },
  { verb: 'edit', from: 'pending', to: 'pending', when: 'priority, runAt or tags changed' },
  { verb: 'edit', from: 'blocked', to: 'blocked', when: 'priority, runAt or tags changed' },
  { verb: 'decide', from: 'blocked', to: 'completed', when: 'it is a gate, and was opened' },
  { verb: 'decide', from: 'blocked', to: 'cancelled', when: 'it is a gate, and was refused: reason refused' },
  { verb: 'remove', from: 'completed', to: null, when: 'deleted by an admin, or kept long enough' },
  { verb: 'remove', from: 'failed', to: null, when: 'deleted by an admin, or kept long enough' },
  { verb: 'remove', from: 'cancelled', to: null, when: 'deleted by an admin, or kept long enough' },
];

/** The statuses in which a verb may be used. */
export function allowedFrom(verb: Verb): JobStatus[] {
  const from = TRANSITIONS.filter((transition) => transition.verb === verb).flatMap(({ from }) =>
    from === null ? [] : [from],
  );
  return [...new Set(from)];
}

const FINISHED: readonly JobStatus[] = ['completed', 'failed', 'cancelled'];

export function isFinished(status: JobStatus): boolean {
  return FINISHED.includes(status);
}
