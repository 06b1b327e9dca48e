import type { Role } from '@baton/runner-sdk/protocol';

/** The caller, as described by its key. */
export interface Caller {
  keyId: string;
  name: string;
  role: Role;
  /** The user that a caller of role `user` acts for. */
  userId: string | null;
  /** The queues that a runner's key may claim from; null: all, empty: none. */
  queues: string[] | null;
  types: string[] | null;
}

/** Who did something, as the audit log shows it. */
export interface Actor {
  keyId: string;
  keyName: string;
  /** `none`: a caller without a valid key. */
  role: Role | 'none';
  userId: string | null;
  address: string;
  requestId: string;
}

export function actorOf(
  { keyId, name, role, userId }: Caller,
  { address, requestId }: Pick<Actor, 'address' | 'requestId'>,
): Actor {
  return { keyId, keyName: name, role, userId, address, requestId };
}

/** The user whose jobs this caller sees and changes; null: all users. */
export function visibleUser(caller: Caller): string | null {
  return caller.role === 'user' ? caller.userId : null;
}
