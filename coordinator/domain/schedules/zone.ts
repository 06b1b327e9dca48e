const DAY_MS = 86_400_000;
const FIRST_HORIZON_MS = 370 * DAY_MS;
const MOST_ZONES = 1000;

/** A change of a zone's offset from UTC. All times are milliseconds since 1970. */
export interface Transition {
  at: number;
  /** Offsets from UTC to local time, in milliseconds. */
  before: number;
  after: number;
}

/** The offsets of an IANA time zone from UTC, and when they change. */
export class Zone {
  private readonly format: Intl.DateTimeFormat;
  /** All transitions between `from` and `upTo`, oldest first. */
  private transitions: Transition[] = [];
  private from = Infinity;
  private upTo = -Infinity;

  constructor(name: string) {
    this.format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
  }

  offsetAt(at: number): number {
    const [, sign, hours, minutes, seconds = '0'] = OFFSET.exec(this.format.format(at)) ?? [];
    if (sign === undefined) return 0;
    return (sign === '-' ? -1000 : 1000) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
  }

  /** The first transition after `at` and not after `until`; null: the offset does not change. */
  transitionAfter(at: number, until: number): Transition | null {
    this.cover(at, until);
    return this.transitions.find((one) => one.at > at && one.at <= until) ?? null;
  }

  /** Searches for transitions day by day; no two are within one day. */
  private cover(at: number, until: number): void {
    // A time far from the known range starts a new range; the time between is not searched.
    if (at < this.from || at > this.upTo) {
      this.transitions = [];
      this.from = at;
      this.upTo = at;
    }
    const end = Math.max(until, at + FIRST_HORIZON_MS);
    if (until <= this.upTo) return;
    let before = this.offsetAt(this.upTo);
    for (; this.upTo < end; this.upTo += DAY_MS) {
      const after = this.offsetAt(this.upTo + DAY_MS);
      if (after !== before)
        this.transitions.push({ at: this.moment(this.upTo, this.upTo + DAY_MS, before), before, after });
      before = after;
    }
  }

  /** The first millisecond after `before` with another offset. */
  private moment(before: number, after: number, offset: number): number {
    let [low, high] = [before, after];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offsetAt(middle) === offset) low = middle;
      else high = middle;
    }
    return high;
  }
}

const OFFSET = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/;

const zones = new Map<string, Zone>();

/** @throws {RangeError} for an unknown time zone */
export function zoneOf(name: string): Zone {
  let zone = zones.get(name);
  if (zone === undefined) {
    zone = new Zone(name);
    if (zones.size >= MOST_ZONES) zones.clear();
    zones.set(name, zone);
  }
  return zone;
}
