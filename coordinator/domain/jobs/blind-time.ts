/** A runner sends so many heartbeats in a lease; the SDK does, and `docs/protocol.md` says so. */
const BEATS_IN_A_LEASE = 3;
const LONGEST_LEASE_MS = 2_147_483_647;

/**
 * How long this coordinator has had the database in sight. A lease that ran out while it had not may have run out because
 * nobody could be told that its runner lives; so after such a time each lease is left the time of one heartbeat more.
 */
export class BlindTime {
  private lookedAt: number | null = null;
  private seesSince: number | null = null;

  /**
   * @param mostMs how far apart two looks may be, in milliseconds, without a blind time between them
   * @param startsBlind whether nothing was seen before the first look
   */
  constructor(
    private readonly mostMs: number,
    private readonly startsBlind: boolean,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** The database was just seen. Returns up to which length leases that have run out may be judged, in milliseconds. */
  look(): number {
    const now = this.nowMs();
    const wasBlind = this.lookedAt === null ? this.startsBlind : now - this.lookedAt > this.mostMs;
    if (wasBlind) this.seesSince = now;
    this.lookedAt = now;
    if (this.seesSince === null) return LONGEST_LEASE_MS;
    return Math.min(LONGEST_LEASE_MS, Math.floor((now - this.seesSince) * BEATS_IN_A_LEASE));
  }
}
