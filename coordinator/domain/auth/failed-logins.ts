import { isIPv6 } from 'node:net';

const WINDOW_MS = 60_000;
/** While a source is throttled, one of its unknown credentials is still checked this often. */
const CHANCE_EVERY_MS = 50;
const MOST_SOURCES = 10_000;

interface Source {
  failures: number;
  until: number;
  nextChanceAt: number;
}

/** Counts recent failures of credentials by source. Forgets the source that it has known longest first. */
export class FailedLogins {
  private readonly sources = new Map<string, Source>();

  constructor(private readonly perMinute: number) {}

  /** @returns true the first time in its minute that a source is over the limit */
  add(name: string): boolean {
    const now = performance.now();
    let source = this.sources.get(name);
    if (source === undefined || source.until <= now) {
      this.sources.delete(name);
      this.makeRoom();
      this.sources.set(name, (source = { failures: 0, until: now + WINDOW_MS, nextChanceAt: 0 }));
    }
    source.failures += 1;
    return source.failures === this.perMinute + 1;
  }

  /** How much longer the source is throttled, in milliseconds; 0: it is not. */
  waitMs(name: string): number {
    const source = this.sources.get(name);
    return source === undefined || source.failures <= this.perMinute
      ? 0
      : Math.max(0, source.until - performance.now());
  }

  /** Whether a throttled source may have an unknown credential checked, so that a valid one among bad ones gets in. */
  takeChance(name: string): boolean {
    const source = this.sources.get(name);
    const now = performance.now();
    if (source === undefined || source.nextChanceAt > now) return source === undefined;
    source.nextChanceAt = now + CHANCE_EVERY_MS;
    return true;
  }

  private makeRoom(): void {
    const [oldest] = this.sources.keys();
    if (this.sources.size >= MOST_SOURCES && oldest !== undefined) this.sources.delete(oldest);
  }
}

/** A host can use any number of IPv6 addresses, so its 64-bit network counts as one source. */
export function sourceOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail = ''] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const zeros = plain.includes('::') ? Array.from({ length: 8 - left.length - right.length }, () => '0') : [];
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}
