import type { Job } from '../../api/reads';
import { Anchor, Progress } from '@mantine/core';
import type { Attempt, AttemptOutcome } from '@baton/runner-sdk/protocol';
import { type ReactNode, useState } from 'react';
import { Link } from 'wouter';
import { duration, visible } from '../../parts/format';
import { Elapsed, Time } from '../../parts/time';
import classes from './job.module.css';

type Tone = 'quiet' | 'busy' | 'good' | 'bad';

interface Moment {
  key: string;
  at: string | null;
  tone: Tone;
  title: ReactNode;
  text?: ReactNode;
  /** How long after the moment before. */
  afterMs?: number;
}

const OUTCOMES: Record<AttemptOutcome, { tone: Tone; text: string }> = {
  running: { tone: 'busy', text: 'runs' },
  completed: { tone: 'good', text: 'completed' },
  failed: { tone: 'bad', text: 'failed' },
  timed_out: { tone: 'bad', text: 'timed out' },
  released: { tone: 'quiet', text: 'released' },
  cancelled: { tone: 'quiet', text: 'cancelled' },
};

/** Of a job with hundreds of attempts, the first ones and the last ones tell most. */
const MOST_SHOWN = 12;

/** What happened to the job, in one line of time: created, waits, attempts, end. */
export function Timeline({ job, attempts }: { job: Job; attempts: readonly Attempt[] }) {
  const [isWhole, setWhole] = useState(false);
  const moments = momentsOf(job, attempts);
  const hidden = isWhole ? 0 : Math.max(0, moments.length - MOST_SHOWN);
  const shown = hidden === 0 ? moments : [...moments.slice(0, 3), ...moments.slice(3 + hidden)];
  return (
    <ol className={classes.timeline}>
      {shown.map(({ key, at, tone, title, text, afterMs }, index) => (
        <li key={key} data-tone={tone}>
          {afterMs !== undefined && afterMs >= 1 && <span className={classes.wait}>{duration(afterMs)} later</span>}
          <div className={classes.moment}>
            <strong>{title}</strong>
            <Time at={at} empty="" />
          </div>
          {text !== undefined && <div className={classes.quiet}>{text}</div>}
          {hidden > 0 && index === 2 && (
            <Anchor component="button" size="xs" onClick={() => setWhole(true)}>
              Show {hidden} more
            </Anchor>
          )}
        </li>
      ))}
    </ol>
  );
}

function momentsOf(job: Job, attempts: readonly Attempt[]): Moment[] {
  const moments: Moment[] = [{ key: 'created', at: job.createdAt, tone: 'quiet', title: 'Created' }];
  let before = job.createdAt;
  for (const attempt of attempts) {
    moments.push(ofAttempt(job, attempt, before));
    before = attempt.finishedAt ?? attempt.startedAt;
  }
  if (job.status === 'pending' && job.failures > 0)
    moments.push({
      key: 'retry',
      at: job.runAt,
      tone: 'busy',
      title: `Next attempt`,
      text: `${job.failures} of ${job.maxAttempts} attempts have failed`,
    });
  if (job.status === 'failed')
    moments.push({
      key: 'failed',
      at: job.finishedAt,
      tone: 'bad',
      title: 'Failed for good',
      text: 'It is among the dead letters.',
    });
  if (job.status === 'cancelled')
    moments.push({
      key: 'cancelled',
      at: job.finishedAt,
      tone: 'quiet',
      title: 'Cancelled',
      ...(job.reason === null ? {} : { text: visible(job.reason) }),
    });
  return moments;
}

function ofAttempt(job: Job, attempt: Attempt, before: string): Moment {
  const { outcome, startedAt, finishedAt, runnerId, error } = attempt;
  const { tone, text } = OUTCOMES[outcome];
  const isRunning = outcome === 'running';
  return {
    key: `attempt ${attempt.attempt}`,
    at: startedAt,
    tone,
    afterMs: Date.parse(startedAt) - Date.parse(before),
    title: (
      <>
        Attempt {attempt.attempt} {text}
      </>
    ),
    text: (
      <>
        on <Link href={`/jobs?runnerId=${encodeURIComponent(runnerId)}`}>{visible(runnerId)}</Link>
        {isRunning ? ' for ' : ' after '}
        {isRunning ? (
          <Elapsed since={startedAt} />
        ) : (
          duration(finishedAt === null ? null : Date.parse(finishedAt) - Date.parse(startedAt))
        )}
        {error !== null && <div className={classes.attemptError}>{visible(error.message)}</div>}
        {isRunning && job.progress !== null && (
          <div>
            <Progress value={job.progress.percent} mt={4} aria-label="Progress" />
            {Math.round(job.progress.percent)} %
            {job.progress.message === null ? '' : `, ${visible(job.progress.message)}`}
          </div>
        )}
        {attempt.lateResult !== null && <div>Its report came too late, and is kept with the attempt.</div>}
      </>
    ),
  };
}
