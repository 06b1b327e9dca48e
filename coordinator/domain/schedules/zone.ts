const DAY_MS = 86_400_000;
const FIRST_HORIZON_MS = 370 * DAY_MS;
const MOST_ZONES = 1000;

/** A change of a zone's offset from UTC. All times are milliseconds since 1970. */
export interface Transition {
  at: number;
  /** Offsets to be added to UTC for the time that clocks there show. */
  before: number;
  after: number;
}

/** How far the clocks of one IANA time zone are from UTC, and when that changes. */
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

  /** The first transition after `at` and not after `until`; null: the offset stays. */
  transitionAfter(at: number, until: number): Transition | null {
    this.cover(at, until);
    return this.transitions.find((one) => one.at > at && one.at <= until) ?? null;
  }

  /** Looks for transitions day by day; none is so close to another that both are within one. */
  private cover(at: number, until: number): void {
    // One that is far from what is known begins anew: the time between is not looked through.
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

  /** The first millisecond after `before` from which the offset is another one. */
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

/** @throws {RangeError} for a name that this process knows no zone of */
export function zoneOf(name: string): Zone {
  let zone = zones.get(name);
  if (zone === undefined) {
    zone = new Zone(name);
    if (zones.size >= MOST_ZONES) zones.clear();
    zones.set(name, zone);
  }
  return zone;
}
