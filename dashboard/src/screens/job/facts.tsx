import type { RetryPolicy } from '@baton/runner-sdk/protocol';
import type { Job } from '../../api/reads';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { bytes, duration, visible } from '../../parts/format';
import { Time } from '../../parts/time';
import classes from './job.module.css';

type Fact = [name: string, value: ReactNode];

/** What the job has, without what it has not. */
export function Facts({ job }: { job: Job }) {
  const facts: Fact[] = [
    ['Queue', <Link href={`/jobs?queue=${encodeURIComponent(job.queue)}`}>{visible(job.queue)}</Link>],
    ['Priority', job.priority],
    ['User', job.userId && <Link href={`/jobs?userId=${encodeURIComponent(job.userId)}`}>{visible(job.userId)}</Link>],
    ['Tags', job.tags.length > 0 && job.tags.map((tag) => <Tag key={tag} tag={tag} />)],
    ['Attempts', `${job.attempt}, of which ${job.failures} failed; at most ${job.maxAttempts} may`],
    ['Retries', retryInWords(job.retry)],
    ['Time limit', duration(job.timeoutMs)],
    ['Not before', <Time at={job.runAt} />],
    ['Expires', job.expiresAt && <Time at={job.expiresAt} />],
    [
      'Runner',
      job.runnerId && <Link href={`/jobs?runnerId=${encodeURIComponent(job.runnerId)}`}>{visible(job.runnerId)}</Link>,
    ],
    ['Lease until', job.leaseExpiresAt && <Time at={job.leaseExpiresAt} />],
    ['Deadline', job.deadlineAt && <Time at={job.deadlineAt} />],
    ['Needs', job.requires && labels(job.requires)],
    ['Prefers', job.prefers && labels(job.prefers)],
    ['Unique key', job.uniqueKey && visible(job.uniqueKey)],
    ['Concurrency key', job.concurrencyKey && visible(job.concurrencyKey)],
    ['Order key', job.orderKey && visible(job.orderKey)],
    ['Callback', job.callbackUrl && visible(job.callbackUrl)],
    ...(job.metrics === null ? [] : metricFacts(job.metrics)),
    [
      'Waits for',
      job.dependsOn !== undefined &&
        job.dependsOn.length > 0 &&
        job.dependsOn.map((id) => <Dependency key={id} id={id} />),
    ],
    ['Created', <Time at={job.createdAt} />],
    ['Started', job.startedAt && <Time at={job.startedAt} />],
    ['Finished', job.finishedAt && <Time at={job.finishedAt} />],
  ];
  return (
    <dl className={classes.facts}>
      {facts
        .filter(([, value]) => value !== null && value !== false && value !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function metricFacts({ durationMs, cpuMs, memoryPeakBytes, cost }: NonNullable<Job['metrics']>): Fact[] {
  return [
    ['Ran for', durationMs !== null && duration(durationMs)],
    ['Processor time', cpuMs !== null && duration(cpuMs)],
    ['Memory peak', memoryPeakBytes !== null && bytes(memoryPeakBytes)],
    ['Cost', cost],
  ];
}

function Tag({ tag }: { tag: string }) {
  return (
    <Link href={`/jobs?tag=${encodeURIComponent(tag)}`} className={classes.tag ?? ''}>
      {visible(tag)}
    </Link>
  );
}

function Dependency({ id }: { id: string }) {
  return (
    <Link href={`/jobs/${id}`} className={`mono ${classes.tag}`}>
      {id.slice(-12)}
    </Link>
  );
}

function labels(all: Record<string, string | number | boolean>): string {
  return Object.entries(all)
    .map(([name, value]) => `${visible(name)} ${visible(String(value))}`)
    .join(', ');
}

export function retryInWords(retry: RetryPolicy): string {
  const most = `at most ${duration(retry.maxMs)}`;
  const jitter = retry.jitter > 0 ? `, up to ${Math.round(retry.jitter * 100)} % longer` : '';
  if (retry.strategy === 'fixed') return `after ${duration(retry.baseMs)} each${jitter}`;
  if (retry.strategy === 'linear') return `after ${duration(retry.baseMs)}, that much more each time, ${most}${jitter}`;
  return `after ${duration(retry.baseMs)}, × ${retry.factor} each time, ${most}${jitter}`;
}
