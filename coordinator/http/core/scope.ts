import { isScoped } from '../../domain/auth/scope';
import type { Caller } from '../../domain/auth/caller';
import { isOutsideKeyScope } from '../../domain/auth/key-scope';
import { BatonError } from '../../errors';
import type { Services } from './services';
import type { AnyEndpoint } from './endpoint';

/**
 * Checks a call of a client's key that is limited to queues and types: only routes that declare how they respect the
 * limit are allowed. A job outside the limit counts as missing. The check may come before the call, because a job's
 * queue and type never change.
 * @throws {BatonError} `forbidden`, `not_found`
 */
export async function requireScope(
  services: Services,
  { scope, roles }: Pick<AnyEndpoint, 'scope' | 'roles'>,
  caller: Caller,
  params: unknown,
): Promise<void> {
  if (!isScoped(caller) || caller.role === 'runner' || roles === 'public' || scope === 'kept') return;
  if (scope !== 'job')
    throw new BatonError(
      'forbidden',
      'This call tells of, or changes, more than the queues and types that this key is limited to; it needs a key without such limits.',
    );
  const { id } = params as { id: string };
  if (await isOutsideKeyScope(services.context, caller, id))
    throw new BatonError('not_found', `There is no job with id ${id}.`);
}
