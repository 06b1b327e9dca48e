import { type Json, type NewJob, retryPolicy } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import type { BatonError } from '../../errors';
import { GATE, type JobRow } from '../../store/jobs';
import type { BulkParameters } from '../../store/bulk';
import { getMany } from '../../store/views/jobs';
import type { Actor, Caller } from '../auth/caller';
import { create } from '../jobs/create';
import type { Created } from '../jobs/candidates/job-candidate';
import { NOTHING_RESERVED } from '../jobs/candidates/reservation';

interface Replay {
  /**
   * Id of the operation. Each new job has an idempotency key of it and the old job's id, so that a repeated batch
   * creates nothing twice.
   */
  id?: string | undefined;
  userId: string | null;
  by: Actor | null;
  parameters: BulkParameters;
}

/** Creates new jobs like these, except for those that were deleted. Returns them by the id of the old job. */
export async function replayJobs(
  context: Context,
  { id = '', userId, by, parameters }: Replay,
  jobIds: string[],
): Promise<Map<string, Created | BatonError>> {
  const rows = (await getMany(context.db, userId, jobIds)).filter(({ queue }) => queue !== GATE.queue);
  // Sorted by id, so that jobs refused by a full queue come last.
  rows.sort((one, other) => (one.id < other.id ? -1 : 1));
  const caller = callerOf(by, userId);
  const made = await create(
    context,
    rows.map((row) => ({
      caller,
      job: jobLike(row, parameters),
      idempotencyKey: `replay:${id}:${row.id}`,
      callbackOf: callbackOf(row)?.userId ?? null,
    })),
    // Nothing is reserved: waiting claims find these jobs like any others.
    () => NOTHING_RESERVED,
  );
  return new Map(rows.flatMap(({ id: old }, index) => (made[index] === undefined ? [] : [[old, made[index]]])));
}

function callerOf(by: Actor | null, userId: string | null): Caller {
  return {
    keyId: by?.keyId ?? '',
    name: by?.keyName ?? '',
    role: userId === null ? 'producer' : 'user',
    userId,
    // The key's scope was checked when the replay was requested.
    queues: null,
    types: null,
  };
}

/** Where the end of the job was reported, and whose secret signed the report. */
function callbackOf(row: JobRow): { url?: string; userId?: string | null } | null {
  return row.callback as { url?: string; userId?: string | null } | null;
}

/**
 * The fields that the job was created with, except for its unique key, with which only one new job would be created,
 * and the times at which it was to run and to expire, which have passed.
 */
function jobLike(row: JobRow, { arguments: changed, queue, priority }: BulkParameters): NewJob {
  const url = callbackOf(row)?.url;
  return {
    type: row.type,
    queue: queue ?? row.queue,
    arguments: changed ?? (row.arguments as Exclude<Json, null>),
    priority: priority ?? row.priority,
    timeoutMs: row.timeoutMs,
    maxAttempts: row.maxAttempts,
    onConflict: 'keep',
    orderOnFailure: row.orderBlocks ? 'block' : 'skip',
    tags: row.tags,
    metadata: { ...(row.metadata as { [key: string]: Json } | null), replayOf: row.id },
    ...(row.retry === null ? {} : { retry: retryPolicy.parse(row.retry) }),
    ...(row.userId === null ? {} : { userId: row.userId }),
    ...(row.requires === null ? {} : { requires: row.requires as NewJob['requires'] }),
    ...(row.prefers === null ? {} : { prefers: row.prefers as NewJob['prefers'] }),
    ...(row.concurrencyKey === null ? {} : { concurrencyKey: row.concurrencyKey }),
    ...(row.orderKey === null ? {} : { orderKey: row.orderKey }),
    ...(url === undefined ? {} : { callbackUrl: url }),
  };
}
