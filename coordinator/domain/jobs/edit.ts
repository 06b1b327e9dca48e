import type { Labels } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import * as views from '../../store/views/jobs';
import { jobActions, audited } from '../audit/record';
import type { Actor } from '../auth/caller';
import type { Lane, Routing } from '../../state/lanes';
import { refusal } from './refusal';
import { laneMaker, tooManyLanes } from './lanes';
import { enqueue } from './promotion';

export interface EditItem {
  jobId: string;
  userId: string | null;
  priority?: number | undefined;
  runAt?: string | undefined;
  /** Sets runAt to now. */
  runNow?: boolean | undefined;
  tags?: string[] | undefined;
}

/** blocked, pending -> the same, changed. */
export async function edit(
  context: Context,
  item: EditItem,
  by: Actor | null = null,
): Promise<store.JobRow | BatonError> {
  const before = await views.get(context.db, item.userId, item.jobId);
  if (before === null) return refusal(context, 'edit', item.jobId, item.userId);
  if (before.queue === store.GATE.queue)
    return new BatonError('state_conflict', 'It is a gate, which nobody runs; it can be opened, refused or cancelled.');
  const lane = item.priority === undefined ? undefined : await laneFor(context, before, item.priority, by);
  if (lane === null) return tooManyLanes(laneMaker(by));
  const { jobId: _jobId, userId: _userId, ...changes } = item;
  const [job] = await audited(
    context,
    by,
    (db) => store.edit(db, { ...item, laneId: lane?.id }),
    (jobs) => jobActions(['job.edited', 'job.edited'], jobs, changes),
  );
  if (job === undefined) return refusal(context, 'edit', item.jobId, item.userId);
  await enqueue(context, [{ dueInMs: job.runAt.getTime() - job.updatedAt.getTime() }]);
  return job;
}

/** blocked, pending -> the same, with another priority; jobs of any other status are left as they are. */
export async function prioritise(
  context: Context,
  jobIds: string[],
  priority: number,
  by: Actor | null = null,
): Promise<{ id: string }[]> {
  // Nobody runs gates.
  const jobs = (await views.getMany(context.db, null, jobIds)).filter(({ queue }) => queue !== store.GATE.queue);
  const lanes = await context.lanes.of(
    jobs.map((job) => routingOf(job, priority)),
    jobs.map(() => laneMaker(by)),
  );
  if (lanes.includes(null)) throw tooManyLanes(laneMaker(by));
  const moves = jobs.map((job, index) => ({ jobId: job.id, laneId: lanes[index]?.id ?? job.laneId }));
  const moved = await audited(
    context,
    by,
    (db) => store.prioritise(db, moves, priority),
    (done) => jobActions(['job.edited', 'jobs.prioritised'], done, { priority }),
  );
  await enqueue(
    context,
    moved.map(() => ({ dueInMs: 0 })),
  );
  return moved;
}

async function laneFor(context: Context, job: store.JobRow, priority: number, by: Actor | null): Promise<Lane | null> {
  const [lane = null] = await context.lanes.of([routingOf(job, priority)], [laneMaker(by)]);
  return lane;
}

function routingOf(job: store.JobRow, priority: number): Routing {
  return {
    queue: job.queue,
    type: job.type,
    priority,
    requires: job.requires as Labels | null,
    prefers: job.prefers as Labels | null,
  };
}
