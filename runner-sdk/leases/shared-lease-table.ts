import type { Lease } from './lease-keeper';

/** A lease in the table; `runnerIndex` is the index of its runner. */
export interface SharedLease extends Lease {
  runnerIndex: number;
}

/** Number of leases in the table; others are sent to the heartbeat thread by message. */
export const TABLE_SLOTS = 4096;
/** Returned by `put` when a lease does not fit. */
export const NO_SLOT = -1;

const HEADER_BYTES = 8;
const SLOT_BYTES = 104;
/** Two bytes of lengths, then id and token. */
const LENGTHS_AT = 24;
const TEXT_AT = 26;
const TEXT_ROOM = SLOT_BYTES - TEXT_AT;
const MEMORY_BYTES = HEADER_BYTES + TABLE_SLOTS * SLOT_BYTES;
/** The header, in words of 4 bytes: whether the reader sleeps, and how many slots were ever used. */
const ASLEEP = 0;
const USED = 1;

/**
 * Memory that the main thread writes and the heartbeat thread reads: the current leases. A lease is added before its
 * handler starts, so that a handler that blocks the event loop from the start keeps it; a lease that is removed before
 * the thread polls has cost neither thread a message.
 *
 * The first word of a slot counts its changes and is odd while the slot has a lease. It is written last, and read first
 * and last, with `Atomics`, so that no lease is read partially; the rest needs no lock, because there is only one
 * writer.
 */
abstract class SharedTable {
  protected readonly words: Int32Array;
  protected readonly numbers: Float64Array;
  protected readonly bytes: Buffer;

  constructor(readonly memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.numbers = new Float64Array(memory);
    this.bytes = Buffer.from(memory);
  }
}

/** The main thread's side. */
export class SharedLeaseTable extends SharedTable {
  private readonly free: number[] = [];
  private used = 0;

  constructor() {
    super(new SharedArrayBuffer(MEMORY_BYTES));
  }

  /** Adds a lease; returns its slot, or `NO_SLOT` when there is no room. */
  put(runnerIndex: number, { jobId, leaseToken, leaseMs, leaseEndsAtMs }: Lease): number {
    const text = jobId + leaseToken;
    if (text.length > TEXT_ROOM || Buffer.byteLength(text) !== text.length) return NO_SLOT;
    const slot = this.free.pop() ?? this.unused();
    if (slot === NO_SLOT) return NO_SLOT;
    const at = HEADER_BYTES + slot * SLOT_BYTES;
    const changes = Atomics.load(this.words, at / 4);
    this.words[at / 4 + 1] = runnerIndex;
    this.numbers[at / 8 + 1] = leaseMs;
    this.numbers[at / 8 + 2] = leaseEndsAtMs;
    this.bytes[at + LENGTHS_AT] = jobId.length;
    this.bytes[at + LENGTHS_AT + 1] = leaseToken.length;
    this.bytes.write(text, at + TEXT_AT, 'latin1');
    Atomics.store(this.words, at / 4, changes + 1);
    return slot;
  }

  /** Clears a slot. */
  clear(slot: number): void {
    Atomics.add(this.words, (HEADER_BYTES + slot * SLOT_BYTES) / 4, 1);
    this.free.push(slot);
  }

  /** `true`, once, when the reader sleeps and must be woken. */
  wakes(): boolean {
    return Atomics.compareExchange(this.words, ASLEEP, 1, 0) === 1;
  }

  private unused(): number {
    if (this.used === TABLE_SLOTS) return NO_SLOT;
    this.used += 1;
    Atomics.store(this.words, USED, this.used);
    return this.used - 1;
  }
}

/** The heartbeat thread's side. */
export class SharedLeaseTableReader extends SharedTable {
  private readonly seen: number[] = [];
  private readonly standing: (SharedLease | null)[] = [];

  /** Leases added and removed since the last call; those of runners that are not `isOpen` are left for later. */
  look(isOpen: (runnerIndex: number) => boolean): { held: SharedLease[]; gone: SharedLease[] } {
    const held: SharedLease[] = [];
    const gone: SharedLease[] = [];
    const used = Atomics.load(this.words, USED);
    for (let slot = 0; slot < used; slot += 1) {
      const changes = Atomics.load(this.words, (HEADER_BYTES + slot * SLOT_BYTES) / 4);
      if (changes === (this.seen[slot] ?? 0)) continue;
      const former = this.standing[slot] ?? null;
      if (former !== null) gone.push(former);
      this.standing[slot] = null;
      const found = this.read(slot);
      if (found.lease !== null && !isOpen(found.lease.runnerIndex)) continue;
      this.seen[slot] = found.changes;
      this.standing[slot] = found.lease;
      if (found.lease !== null) held.push(found.lease);
    }
    return { held, gone };
  }

  /** From now on the reader must be woken. Poll once more afterwards, for leases added just before. */
  fallAsleep(): void {
    Atomics.store(this.words, ASLEEP, 1);
  }

  stayAwake(): void {
    Atomics.store(this.words, ASLEEP, 0);
  }

  private read(slot: number): { changes: number; lease: SharedLease | null } {
    const at = HEADER_BYTES + slot * SLOT_BYTES;
    for (;;) {
      const changes = Atomics.load(this.words, at / 4);
      const lease = changes % 2 === 0 ? null : this.leaseAt(at);
      // An exchange, not a load, so that the reads before it cannot be reordered after it.
      if (Atomics.compareExchange(this.words, at / 4, changes, changes) === changes) return { changes, lease };
    }
  }

  private leaseAt(at: number): SharedLease {
    const middle = at + TEXT_AT + (this.bytes[at + LENGTHS_AT] ?? 0);
    return {
      runnerIndex: this.words[at / 4 + 1] ?? 0,
      jobId: this.bytes.toString('latin1', at + TEXT_AT, middle),
      leaseToken: this.bytes.toString('latin1', middle, middle + (this.bytes[at + LENGTHS_AT + 1] ?? 0)),
      leaseMs: this.numbers[at / 8 + 1] ?? 0,
      leaseEndsAtMs: this.numbers[at / 8 + 2] ?? 0,
      isUnconfirmed: false,
    };
  }
}
