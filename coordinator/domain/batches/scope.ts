import type { BatchScope } from '../../store/views/batches';
import { type Caller, visibleUser } from '../auth/caller';
import { isScoped } from '../auth/scope';

/** The batches that a caller sees; a key limited to queues or types sees those that it created itself. */
export function batchScope(caller: Caller): BatchScope {
  return { userId: visibleUser(caller), keyId: isScoped(caller) ? caller.keyId : null };
}
