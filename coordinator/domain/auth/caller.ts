import type { Role } from '@baton/runner-sdk/protocol';

/** Who asks, as the key says. */
export interface Caller {
  keyId: string;
  name: string;
  role: Role;
  /** The one user that a caller of role `user` speaks for. */
  userId: string | null;
  /** What a runner's key may claim; empty: everything. */
  queues: string[];
  types: string[];
}

/** The user whose jobs this caller sees and touches; null: everybody's. */
export function visibleUser(caller: Caller): string | null {
  return caller.role === 'user' ? caller.userId : null;
}
