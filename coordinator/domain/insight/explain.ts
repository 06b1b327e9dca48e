import type { Explanation, Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { GATE, type JobRow } from '../../store/jobs';
import { waitsFor } from '../../store/views/dependencies';
import * as queues from '../../store/views/queues';
import * as views from '../../store/views/explain';
import { meets } from '../../state/requirements';
import { unfitness } from '../job-types/fit';
import { notesOn } from './notes';
import { isFinished } from '../jobs/transitions';

type Reason = Explanation['reasons'][number];

/**
 * Why a job does not run now, the most decisive reason first, with the ids of what it waits for.
 * @param userId the caller's user, who is told only the number of other users' jobs; null: a caller who sees all
 */
export async function explain(context: Context, userId: string | null, job: JobRow): Promise<Explanation> {
  return { ...(await why(context, userId, job)), notes: notesOn(context, job) };
}

async function why(context: Context, userId: string | null, job: JobRow): Promise<Why> {
  if (isFinished(job.status))
    return one(job, 'finished', `The job is ${job.status}; it does not wait for anything.`, {
      finishedAt: job.finishedAt,
    });
  if (job.status === 'running') {
    return one(job, 'running', `It runs: attempt ${job.attempt}, on runner ${job.runnerId}.`, {
      runnerId: job.runnerId,
      attempt: job.attempt,
    });
  }
  const parents = await ofParents(context, job);
  if (job.queue === GATE.queue) return { status: job.status, reasons: parents.length > 0 ? parents : [ofGate(job)] };
  await context.runnerRegistry.writeSeen();
  const reasons = [
    ...parents,
    ...ofJob(job),
    ...(await ofHold(context, userId, job)),
    ...(await ofQueue(context, userId, job)),
    ...(await ofRunners(context, job)),
  ].map((reason) => (userId === null ? reason : withoutOperators(reason)));
  if (
    reasons.length === 0 ||
    (job.position !== null && reasons.every((reason) => reason.code === 'prefers_other_runners'))
  ) {
    reasons.push(await ofLine(context, job));
  }
  reasons.push(...(await ofArguments(context, job)));
  return { status: job.status, reasons };
}

/** It will be claimed all the same, and its runner will most likely refuse it. */
async function ofArguments(context: Context, job: JobRow): Promise<Reason[]> {
  const errors = await unfitness(context, job);
  if (errors === null) return [];
  const [first] = errors;
  return [
    {
      code: 'arguments_fit_no_schema',
      message: `Its arguments fit no schema that runners of ${job.type} have published: ${first?.path ?? 'arguments'} ${first?.message ?? 'does not fit'}. It will most likely fail.`,
      details: { type: job.type, errors },
    },
  ];
}

/**
 * Details for operators only: other routes do not show users the runners, what they take, and who paused a queue and
 * why.
 */
const OPERATORS_DETAILS = new Set(['liveRunners', 'typesTaken', 'closest', 'queuesTaken', 'runnerIds', 'by', 'reason']);

function withoutOperators({ code, message, details }: Reason): Reason {
  const told = Object.entries(details).filter(([name]) => !OPERATORS_DETAILS.has(name));
  return {
    code,
    message: code === 'queue_paused' ? 'The queue is paused.' : message,
    details: Object.fromEntries(told),
  };
}

type Why = Omit<Explanation, 'notes'>;

function one(job: JobRow, code: Reason['code'], message: string, details: Reason['details']): Why {
  return { status: job.status, reasons: [{ code, message, details }] };
}

function ofGate({ expiresAt }: JobRow): Reason {
  const until = expiresAt === null ? '' : ` until ${expiresAt.toISOString()}`;
  return {
    code: 'waits_for_decision',
    message: `It is a gate; it waits${until} for somebody to open or refuse it.`,
    details: { expiresAt },
  };
}

/** Most parents that are named. */
const NAMED_PARENTS = 20;

async function ofParents(context: Context, job: JobRow): Promise<Reason[]> {
  if (job.status !== 'blocked') return [];
  const { count, parents } = await waitsFor(context.db, job.id, NAMED_PARENTS);
  if (count === 0) return [];
  const [first] = parents;
  const others = count === 1 ? '' : ` and ${count - 1} more`;
  return [
    {
      code: 'waits_for_jobs',
      message: `It waits for ${first?.key ?? first?.id}, which is ${first?.status}${others}; it starts when all have ended.`,
      details: { count, jobs: parents },
    },
  ];
}

function ofJob(job: JobRow): Reason[] {
  if (job.position !== null || job.hold !== null || job.runAt <= new Date(0)) return [];
  // It gets its position only when it waits for no other job.
  if (job.status === 'blocked' && job.runAt <= job.updatedAt) return [];
  const details = { runAt: job.runAt };
  if (job.failures > 0) {
    return [
      {
        code: 'retry_backoff',
        message: `It failed ${job.failures} of at most ${job.maxAttempts} times and is tried again at ${job.runAt.toISOString()}.`,
        details: { ...details, failures: job.failures },
      },
    ];
  }
  return [{ code: 'scheduled', message: `It is due at ${job.runAt.toISOString()}.`, details }];
}

async function ofHold(context: Context, userId: string | null, job: JobRow): Promise<Reason[]> {
  if (job.hold === 'order' && job.orderKey !== null) {
    const first = await views.firstInOrder(context.db, userId, job.queue, job.orderKey);
    const why =
      first?.status === 'failed' ? 'which failed: retry it, or delete it' : `which is ${first?.status ?? 'finishing'}`;
    return [
      {
        code: 'held_by_order',
        message: `Jobs with the order key ${job.orderKey} run one after the other; it waits for ${first?.id ?? 'the one before it'}, ${why}.`,
        details: { orderKey: job.orderKey, jobId: first?.id ?? null, jobStatus: first?.status ?? null },
      },
    ];
  }
  if (job.hold === 'key' && job.concurrencyKey !== null) return ofKey(context, userId, job, job.concurrencyKey);
  return [];
}

/** The limits of its key. What holds it has ended a moment ago where neither is reached: the first is told then. */
async function ofKey(context: Context, userId: string | null, job: JobRow, key: string): Promise<Reason[]> {
  const settings = context.queueSettings.get(job.queue);
  const limit = settings?.concurrencyPerKey ?? null;
  const [max, perMs] = [settings?.keyRateMax ?? null, settings?.keyRatePerMs ?? null];
  const inMs = max === null ? 0 : Math.ceil(await views.nextOfKeyInMs(context.db, job.queue, key));
  const rated: Reason = {
    code: 'key_rate_limit',
    message: `The queue ${job.queue} starts at most ${max} jobs with the concurrency key ${key} in ${perMs} ms; the next in ${inMs} ms, others are before it.`,
    details: { concurrencyKey: key, max, perMs, nextInMs: inMs },
  };
  if (limit === null && max !== null) return [rated];
  const { count, ids } = await views.runningIn(context.db, userId, job.queue, key);
  const held: Reason = {
    code: 'held_by_concurrency_key',
    message: `At most ${limit} jobs with the concurrency key ${key} run at once; ${count} do, others are before it.`,
    details: { concurrencyKey: key, limit, running: count, jobIds: ids },
  };
  if (inMs === 0) return [held];
  return limit !== null && count >= limit ? [held, rated] : [rated];
}

async function ofQueue(context: Context, userId: string | null, job: JobRow): Promise<Reason[]> {
  const queue = (await queues.settings(context.db)).find((row) => row.name === job.queue);
  if (queue === undefined) return [];
  const reasons: Reason[] = [];
  if (queue.pausedAt !== null) {
    const until = queue.pausedUntil === null ? '' : ` until ${queue.pausedUntil.toISOString()}`;
    reasons.push({
      code: 'queue_paused',
      message: `The queue ${queue.name} was paused by ${queue.pausedBy}${until}${queue.pausedReason === null ? '' : `: ${queue.pausedReason}`}.`,
      details: { by: queue.pausedBy, reason: queue.pausedReason, at: queue.pausedAt, untilAt: queue.pausedUntil },
    });
  }
  if (queue.concurrency !== null) {
    const { count, ids } = await views.runningIn(context.db, userId, job.queue, null);
    if (count >= queue.concurrency) {
      reasons.push({
        code: 'queue_concurrency',
        message: `At most ${queue.concurrency} jobs of the queue ${queue.name} run at once, and ${count} do.`,
        details: { limit: queue.concurrency, running: count, jobIds: ids },
      });
    }
  }
  if (queue.rateMax !== null) {
    const inMs = Math.ceil(await views.nextStartInMs(context.db, queue.name));
    if (inMs > 0)
      reasons.push({
        code: 'queue_rate_limit',
        message: `The queue ${queue.name} starts at most ${queue.rateMax} jobs in ${queue.ratePerMs} ms; the next in ${inMs} ms.`,
        details: { max: queue.rateMax, perMs: queue.ratePerMs, nextInMs: inMs },
      });
  }
  return reasons;
}

async function ofRunners(context: Context, job: JobRow): Promise<Reason[]> {
  const live = await views.liveRunners(context.db);
  const requires = job.requires as Labels | null;
  const ofType = live.filter((runner) => runner.types.includes(job.type));
  if (ofType.length === 0) {
    return [
      {
        code: 'no_runner_for_type',
        message: `No runner that is alive takes jobs of type ${job.type}.`,
        details: {
          type: job.type,
          liveRunners: live.length,
          typesTaken: distinct(live.flatMap((runner) => runner.types)),
        },
      },
    ];
  }
  const ofQueue = ofType.filter((runner) => runner.queues.length === 0 || runner.queues.includes(job.queue));
  if (ofQueue.length === 0) {
    return [
      {
        code: 'no_runner_for_queue',
        message: `No runner that takes ${job.type} takes from the queue ${job.queue}.`,
        details: {
          queue: job.queue,
          closest: named(ofType),
          queuesTaken: distinct(ofType.flatMap((runner) => runner.queues)),
        },
      },
    ];
  }
  const able = ofQueue.filter((runner) => meets(requires, runner.labels));
  if (able.length === 0) {
    return [
      {
        code: 'no_runner_for_labels',
        message: `No runner that takes ${job.type} has the labels it requires.`,
        details: { requires, closest: closest(requires ?? {}, ofQueue) },
      },
    ];
  }
  if (able.every((runner) => runner.isDraining)) {
    return [
      {
        code: 'runners_draining',
        message: 'All runners that can take it are draining.',
        details: { runnerIds: named(able) },
      },
    ];
  }
  const prefers = job.prefers as Labels | null;
  if (prefers !== null && !able.some((runner) => meets(prefers, runner.labels))) {
    return [
      {
        code: 'prefers_other_runners',
        message: 'No runner has the labels it prefers; others get it five seconds after it is due.',
        details: { prefers },
      },
    ];
  }
  return [];
}

async function ofLine(context: Context, job: JobRow): Promise<Reason> {
  const ahead = job.position === null ? 0 : await views.countAhead(context.db, job);
  const message =
    ahead === 0 ? 'It is next in line; a runner with a free slot takes it.' : `${ahead} jobs are before it.`;
  return { code: 'in_line', message, details: { ahead } };
}

/** The runners that miss the fewest of the required labels, and which. */
function closest(requires: Labels, runners: views.LiveRunner[]): { runnerId: string; missing: Labels }[] {
  const missing = runners.map((runner) => ({
    runnerId: runner.id,
    missing: Object.fromEntries(
      Object.entries(requires).filter(([name, wanted]) => !meets({ [name]: wanted }, runner.labels)),
    ),
  }));
  return missing.sort((a, b) => Object.keys(a.missing).length - Object.keys(b.missing).length).slice(0, 5);
}

function named(runners: views.LiveRunner[]): string[] {
  return runners.slice(0, 10).map((runner) => runner.id);
}

function distinct(values: string[]): string[] {
  return [...new Set(values)].sort().slice(0, 50);
}
