import type { Role } from '@baton/runner-sdk/protocol';

/** Who asks, as the key says. */
export interface Caller {
  keyId: string;
  name: string;
  role: Role;
  /** The one user that a caller of role `user` speaks for. */
  userId: string | null;
  /** What a runner's key may claim; null: everything, empty: nothing. */
  queues: string[] | null;
  types: string[] | null;
}

/** Who did something by hand, as the audit tells it. */
export interface Actor {
  keyId: string;
  keyName: string;
  /** `none`: somebody without a good key. */
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

/** The user whose jobs this caller sees and touches; null: everybody's. */
export function visibleUser(caller: Caller): string | null {
  return caller.role === 'user' ? caller.userId : null;
}
