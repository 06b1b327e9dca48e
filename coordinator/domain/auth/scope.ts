import type { JobFilter } from '@baton/runner-sdk/protocol';
import type { Caller } from './caller';

// Keys of clients that are limited to queues and types, as those of runners are (`reach.ts`).

type Scope = Pick<Caller, 'queues' | 'types'>;

export function isScoped({ queues, types }: Scope): boolean {
  return queues.length > 0 || types.length > 0;
}

/** Whether the key may see, create and change such a job. */
export function covers({ queues, types }: Scope, job: { queue: string; type: string }): boolean {
  return (queues.length === 0 || queues.includes(job.queue)) && (types.length === 0 || types.includes(job.type));
}

/** The part of a filter that the key sees; of what it does not see, nothing matches. */
export function withinScope<Filter extends Pick<JobFilter, 'queue' | 'type'>>(
  { queues, types }: Scope,
  filter: Filter,
): Filter {
  return {
    ...filter,
    ...(queues.length === 0 ? {} : { queue: filter.queue?.filter((one) => queues.includes(one)) ?? queues }),
    ...(types.length === 0 ? {} : { type: filter.type?.filter((one) => types.includes(one)) ?? types }),
  };
}

/** Whether all that a filter matches is in the key's queues and of its types. */
export function coversFilter(scope: Scope, filter: Pick<JobFilter, 'queue' | 'type'>): boolean {
  const isWithin = (names: string[] | undefined, allowed: string[]): boolean =>
    allowed.length === 0 || (names !== undefined && names.every((name) => allowed.includes(name)));
  return isWithin(filter.queue, scope.queues) && isWithin(filter.type, scope.types);
}

/** What the key is limited to, in words. */
export function scopeText({ queues, types }: Scope): string {
  const parts = [
    ...(queues.length === 0 ? [] : [`the queues ${queues.join(', ')}`]),
    ...(types.length === 0 ? [] : [`the types ${types.join(', ')}`]),
  ];
  return `it is limited to ${parts.join(' and ')}`;
}
