import type { BodyLimits } from '../body/read-body';

/** What bounds the cost of calls. `docs/limits.md` is printed from these and from the routes. */

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * The longest that a call waits before it answers. Callers may ask for 50 s, which is also when HAProxy cuts a connection
 * that says nothing, by its default; so the answer comes before that.
 */
export const LONGEST_WAIT_MS = 45_000;

export function boundedWait(waitMs: number): number {
  return Math.min(waitMs, LONGEST_WAIT_MS);
}

/** Bodies, by what a route takes. All are counted after decompression. */
const BODY_BYTES = {
  /** Anybody may send it, so it is small, and not decompressed. */
  public: 4 * KIB,
  /** A command, a filter or a setting. */
  command: 512 * KIB,
  /** Many jobs or reports; or one report, because up to a thousand log lines stand beside its payload. */
  list: 16 * MIB,
};

/** What a route takes: `job` has arguments and metadata, `command` nothing of that kind. */
export type BodyKind = 'command' | 'job' | 'list';

/**
 * How much of a body a route reads. One job's arguments and metadata may be as large as `maxPayloadBytes` each, be
 * written with escapes, which triple them, and have all else beside them.
 */
export function bodyLimits(
  { roles, takes = 'command' }: { roles: readonly string[] | 'public'; takes?: BodyKind },
  maxPayloadBytes: number,
): BodyLimits {
  if (roles === 'public') return { mostBytes: BODY_BYTES.public, inflates: false };
  const mostBytes = takes === 'job' ? 6 * maxPayloadBytes + 128 * KIB : BODY_BYTES[takes];
  return { mostBytes, inflates: true };
}

/** How much of all answers waits to be read by its clients. */
export const MOST_UNSENT_BYTES = { inAll: 256 * MIB, perKey: 64 * MIB };

/** How much of all bodies is in memory at once. */
export const MOST_BODY_BYTES = { inAll: 128 * MIB, perKey: 32 * MIB };
