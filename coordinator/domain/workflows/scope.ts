import type { WorkflowScope } from '../../store/views/workflows';
import { type Caller, visibleUser } from '../auth/caller';

/**
 * The workflows that a caller sees; a key limited to queues or types sees those whose every job is within its limits. A
 * runner's key comes with the lease of a job instead.
 */
export function workflowScope(caller: Caller): WorkflowScope {
  const { queues, types } = caller.role === 'runner' ? { queues: null, types: null } : caller;
  return { userId: visibleUser(caller), queues, types };
}

export const ANY_WORKFLOW: WorkflowScope = { userId: null, queues: null, types: null };
