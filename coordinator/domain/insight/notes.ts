import type { JobNote } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import type { JobRow } from '../../store/jobs';

const NONE: JobNote[] = [];

/** Fields of a job that have no effect with its queue's settings, which nobody would notice otherwise. */
export function notesOn(
  { queueSettings }: Pick<Context, 'queueSettings'>,
  { queue, concurrencyKey, userId }: Pick<JobRow, 'queue' | 'concurrencyKey' | 'userId'>,
): JobNote[] {
  const settings = queueSettings.get(queue);
  const isUnlimited = concurrencyKey !== null && (settings?.concurrencyPerKey ?? settings?.keyRateMax ?? null) === null;
  const isUncounted = userId === null && (settings?.userRateMax ?? null) !== null;
  if (!isUnlimited && !isUncounted) return NONE;
  return [
    ...(isUnlimited
      ? [
          {
            code: 'concurrency_key_unlimited' as const,
            message: `The concurrencyKey limits nothing, because the queue ${queue} has no concurrencyPerKey and no keyRateLimit. Set one with PUT /queues/${queue} {"concurrencyPerKey": 1}.`,
          },
        ]
      : NONE),
    ...(isUncounted
      ? [
          {
            code: 'user_not_counted' as const,
            message: `The userRateLimit of the queue ${queue} does not count this job, because it has no userId.`,
          },
        ]
      : NONE),
  ];
}
