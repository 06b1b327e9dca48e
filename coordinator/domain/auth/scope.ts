import type { JobFilter } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import type { Caller } from './caller';

// Keys that are limited to queues and types. What runners claim and report is judged in `key-scope.ts`.

type Scope = Pick<Caller, 'queues' | 'types'>;

export function isScoped({ queues, types }: Scope): boolean {
  return queues !== null || types !== null;
}

/** Whether the key may see, create and change such a job. */
export function covers({ queues, types }: Scope, job: { queue: string; type: string }): boolean {
  return (queues === null || queues.includes(job.queue)) && (types === null || types.includes(job.type));
}

/** Why the key may not create such a job; null: it may. */
export function scopeFault(scope: Scope, { queue, type }: { queue: string; type: string }): BatonError | null {
  return covers(scope, { queue, type })
    ? null
    : new BatonError(
        'forbidden',
        `This key may not create jobs of type ${type} in the queue ${queue}: ${scopeText(scope)}.`,
      );
}

/** The filter limited to the key's scope; nothing outside the scope matches. */
export function withinScope<Filter extends Pick<JobFilter, 'queue' | 'type'>>(
  { queues, types }: Scope,
  filter: Filter,
): Filter {
  return {
    ...filter,
    ...(queues === null ? {} : { queue: filter.queue?.filter((one) => queues.includes(one)) ?? queues }),
    ...(types === null ? {} : { type: filter.type?.filter((one) => types.includes(one)) ?? types }),
  };
}

/** Whether the filter matches only jobs in the key's scope. */
export function coversFilter(scope: Scope, filter: Pick<JobFilter, 'queue' | 'type'>): boolean {
  const isWithin = (names: string[] | undefined, allowed: string[] | null): boolean =>
    allowed === null || (names !== undefined && names.every((name) => allowed.includes(name)));
  return isWithin(filter.queue, scope.queues) && isWithin(filter.type, scope.types);
}

/** The limits of the key, in words. */
export function scopeText({ queues, types }: Scope): string {
  const parts = [
    ...(queues === null ? [] : [`the queues ${queues.join(', ')}`]),
    ...(types === null ? [] : [`the types ${types.join(', ')}`]),
  ];
  return `it is limited to ${parts.join(' and ')}`;
}
