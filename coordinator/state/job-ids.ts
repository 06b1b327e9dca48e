import { randomInt } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { readClock } from '../store/views/clock';
import type { Executor } from '../store/db';

/** A clock that goes back so far was set; one that goes back less was only measured anew. */
const SET_BACK_MS = 1000;
const MOST_SEQUENCE = 0xffff_ffff;

/**
 * Ids of jobs, in the order in which they were made. Lists are sorted by them, so the time in them is the database's, as
 * far as this process knows it: to within the time that a statement takes, and ten seconds after the database's clock was
 * set. Ids of one process rise always.
 */
export class JobIds {
  private offsetMs = 0;
  private lastMs = 0;
  private sequence = 0;

  /** Reads how far this process's clock is from the database's. */
  async adjust(db: Executor): Promise<void> {
    const before = Date.now();
    const databaseMs = await readClock(db);
    this.offsetMs = databaseMs - (before + Date.now()) / 2;
  }

  next(): string {
    const now = Math.floor(Date.now() + this.offsetMs);
    if (now > this.lastMs || this.lastMs - now > SET_BACK_MS) {
      this.lastMs = now;
      this.sequence = randomInt(MOST_SEQUENCE >>> 1);
    } else if (this.sequence < MOST_SEQUENCE) this.sequence += 1;
    else {
      this.lastMs += 1;
      this.sequence = 0;
    }
    return uuidv7({ msecs: this.lastMs, seq: this.sequence });
  }
}
