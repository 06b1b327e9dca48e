import type { Job } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { type Detail, detailLines } from '../../terminal/details';
import { bytesText } from '../../terminal/numbers';
import { lookOf } from '../../terminal/style';
import { durationText } from '../../terminal/time';

/** A job for people: only the fields that are set. */
export function showJob(cli: Cli, job: Job): void {
  const { style } = cli.terminal;
  cli.terminal.line(`${style('bold', job.type)} ${style(lookOf(job.status), job.status)}`);
  for (const line of detailLines(detailsOf(cli, job), style)) cli.terminal.line(line);
}

/** What is known of a job, as names and values. */
export function detailsOf(cli: Cli, job: Job): Detail[] {
  const { progress, estimate } = job;
  return [
    ['id', job.id],
    ['queue', job.queue],
    ['priority', job.priority === 0 ? null : job.priority],
    ['user', job.userId],
    ['tags', job.tags.length === 0 ? null : job.tags.join(', ')],
    ['attempts', `${job.attempt}, ${job.failures} of at most ${job.maxAttempts} failed`],
    ['reason', job.reason],
    ['created', cli.fullTime(job.createdAt)],
    ['may run at', job.status === 'pending' || job.status === 'blocked' ? cli.fullTime(job.runAt) : null],
    ['expires', job.startedAt === null ? cli.fullTime(job.expiresAt) : null],
    ['started', cli.fullTime(job.startedAt)],
    ['finished', cli.fullTime(job.finishedAt)],
    ['expected', estimate?.finishAt === undefined ? null : cli.fullTime(estimate.finishAt)],
    ['runner', job.runnerId],
    ['lease until', cli.fullTime(job.leaseExpiresAt)],
    ['deadline', cli.fullTime(job.deadlineAt)],
    ['timeout', durationText(job.timeoutMs)],
    ['progress', progress === null ? null : `${progress.percent} % ${progress.message ?? ''}`.trimEnd()],
    ['requires', job.requires],
    ['prefers', job.prefers],
    ['unique key', job.uniqueKey],
    ['concurrency key', job.concurrencyKey],
    ['order key', job.orderKey],
    ...linksOf(job),
    ['callback', job.callbackUrl],
    ...(job.metrics === null ? [] : metricDetails(job.metrics)),
    ['metadata', job.metadata],
    ['arguments', job.arguments],
    ['checkpoint', job.checkpoint],
    ['result', job.result],
    ['error', job.error === null ? null : errorText(job.error)],
  ];
}

function metricDetails({ durationMs, cpuMs, memoryPeakBytes, cost }: NonNullable<Job['metrics']>): Detail[] {
  return [
    ['took', isNumber(durationMs) ? durationText(durationMs) : null],
    ['processor', isNumber(cpuMs) ? durationText(cpuMs) : null],
    ['memory peak', isNumber(memoryPeakBytes) ? bytesText(memoryPeakBytes) : null],
    ['cost', cost],
  ];
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number';
}

function errorText({ message, code, stack }: NonNullable<Job['error']>): string {
  return stack ?? (code === undefined ? message : `${code}: ${message}`);
}

/** What the job belongs to; older coordinators do not send all of it. */
function linksOf(job: Job): Detail[] {
  const links = new Map<string, unknown>(Object.entries(job));
  const dependsOn = links.get('dependsOn');
  return [
    ['depends on', Array.isArray(dependsOn) && dependsOn.length > 0 ? dependsOn.join('\n') : null],
    ['workflow', links.get('workflowId')],
    ['batch', links.get('batchId')],
    ['schedule', links.get('scheduleId')],
  ];
}
