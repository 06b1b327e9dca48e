import type { JobFilter } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import { isStopped } from '../db';

/** Filters with an index of their own, so that only matching rows are read. */
const INDEXED: readonly (keyof JobFilter)[] = [
  'id',
  'userId',
  'concurrencyKey',
  'orderKey',
  'uniqueKey',
  'fingerprint',
  'finishedAfter',
  'finishedBefore',
];
/** Statuses with an index. */
const INDEXED_STATUSES: readonly string[] = ['failed', 'cancelled', 'running'];

/** Searches jobs. A search that takes too long is refused, with the filters that made it slow and those to add. */
export async function searched<Found>(
  userId: string | null,
  filter: JobFilter,
  search: () => Promise<Found>,
): Promise<Found> {
  try {
    return await search();
  } catch (error) {
    if (!(error instanceof BatonError) || !isStopped(error)) throw error;
    throw new BatonError('unavailable', describe(userId, filter), {
      cause: error,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    });
  }
}

function describe(userId: string | null, filter: JobFilter): string {
  const names = (Object.keys(filter) as (keyof JobFilter)[]).filter((name) => filter[name] !== undefined);
  const indexed = names.filter((name) => isIndexed(filter, name));
  const others = names.filter((name) => !indexed.includes(name));
  // Jobs of one user are found by an index too.
  if (userId !== null && !indexed.includes('userId')) indexed.push('userId');
  const helpful = [
    ...INDEXED.filter((name) => !indexed.includes(name)),
    ...(indexed.includes('status') ? [] : [`status (${INDEXED_STATUSES.join(', ')})`]),
  ];
  return [
    'The search took too long and was stopped.',
    ...(indexed.length === 0 ? [] : [`There is an index for ${listed(indexed)}.`]),
    ...(others.length === 0 ? [] : [`There is none for ${listed(others)}, so jobs are looked at one by one.`]),
    `Add a filter with an index: ${listed(helpful, 'or')}.`,
  ].join(' ');
}

function isIndexed(filter: JobFilter, name: keyof JobFilter): boolean {
  if (name === 'status') return filter.status?.every((status) => INDEXED_STATUSES.includes(status)) === true;
  // Most jobs have priority 0, and are not in the index by priority.
  if (name === 'priority') return filter.priority?.includes(0) === false;
  return INDEXED.includes(name);
}

function listed(names: readonly string[], word = 'and'): string {
  const last = names.at(-1) ?? '';
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} ${word} ${last}`;
}
