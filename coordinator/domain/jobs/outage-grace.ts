/** A runner sends this many heartbeats in the time of one lease; the SDK does, and `docs/protocol.md` says so. */
const HEARTBEATS_PER_LEASE = 3;
const LONGEST_LEASE_MS = 2_147_483_647;

/**
 * Grace for leases after this coordinator was cut off from the database. A lease that expired during the outage may
 * have expired because no coordinator could extend it, so afterwards each lease gets the time of one more heartbeat.
 */
export class OutageGrace {
  private lastContactAt: number | null = null;
  private outageEndedAt: number | null = null;

  /**
   * @param maxGapMs how far apart two contacts may be, in milliseconds, without an outage between them
   * @param startsCutOff whether the time before the first contact counts as an outage
   */
  constructor(
    private readonly maxGapMs: number,
    private readonly startsCutOff: boolean,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /**
   * Call it when the database has just answered.
   * @returns the longest lease, in milliseconds, that may be judged expired
   */
  recordContact(): number {
    const now = this.nowMs();
    const wasCutOff = this.lastContactAt === null ? this.startsCutOff : now - this.lastContactAt > this.maxGapMs;
    if (wasCutOff) this.outageEndedAt = now;
    this.lastContactAt = now;
    if (this.outageEndedAt === null) return LONGEST_LEASE_MS;
    return Math.min(LONGEST_LEASE_MS, Math.floor((now - this.outageEndedAt) * HEARTBEATS_PER_LEASE));
  }
}
