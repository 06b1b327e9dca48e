import { randomInt } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { readClock } from '../store/views/clock';
import type { Executor } from '../store/db';

/** A clock that goes back this far was set; a smaller step is a correction. */
const SET_BACK_MS = 1000;
const MOST_SEQUENCE = 0xffff_ffff;

/**
 * Ids of jobs, ascending in order of creation. Lists are sorted by id, so the time in an id is the database's as this
 * process knows it: accurate to the duration of a statement, and up to ten seconds behind after the database's clock
 * was set. Ids of one process always rise.
 */
export class JobIds {
  private offsetMs = 0;
  private lastMs = 0;
  private sequence = 0;

  /** Measures the offset between this process's clock and the database's. */
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
