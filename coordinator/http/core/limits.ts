import type { BodyLimits } from '../body/read-body';

/** Limits on the cost of calls. `docs/limits.md` is generated from these and from the routes. */

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * The longest time that a call waits before it answers. Callers may ask for 50 s, but HAProxy by default closes a
 * silent connection after 50 s, so the answer is sent earlier.
 */
export const LONGEST_WAIT_MS = 45_000;

export function boundedWait(waitMs: number): number {
  return Math.min(waitMs, LONGEST_WAIT_MS);
}

/** Most bytes of bodies, by what a route takes, counted after decompression. */
const BODY_BYTES = {
  /** Anyone may send it, so it is small, and not decompressed. */
  public: 4 * KIB,
  /** A command, a filter or a setting. */
  command: 512 * KIB,
  /** Many jobs or reports; or one report, because it may contain a thousand log lines beside its payload. */
  list: 16 * MIB,
};

/** What a route takes: `job` has arguments and metadata, `command` has no payload. */
export type BodyKind = 'command' | 'job' | 'list';

/**
 * Most bytes of a body that a route reads. A job's arguments and metadata may each have `maxPayloadBytes`, escapes can
 * triple their length, and its other fields come on top.
 */
export function bodyLimits(
  { roles, takes = 'command' }: { roles: readonly string[] | 'public'; takes?: BodyKind },
  maxPayloadBytes: number,
): BodyLimits {
  if (roles === 'public') return { mostBytes: BODY_BYTES.public, inflates: false };
  const mostBytes = takes === 'job' ? 6 * maxPayloadBytes + 128 * KIB : BODY_BYTES[takes];
  return { mostBytes, inflates: true };
}

/** Most bytes of answers that wait to be read by their clients. */
export const MOST_UNSENT_BYTES = { inAll: 256 * MIB, perKey: 64 * MIB };

/** Most bytes of request bodies in memory at once. */
export const MOST_BODY_BYTES = { inAll: 128 * MIB, perKey: 32 * MIB };
