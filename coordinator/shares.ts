/** The total of a resource, and how much of it one key may use. */
export interface ShareLimits {
  inAll: number;
  perKey: number;
}

/**
 * Divides a total among keys. A key may use at most its share, and never more than what is still free beside it. So the
 * first key cannot take everything, and a key that has nothing gets something as long as any is left. (This is the
 * dynamic threshold by which switches share their buffers, with a factor of one.)
 */
export class Shares {
  private readonly byKey = new Map<string, number>();
  private used = 0;

  constructor(private readonly most: ShareLimits) {}

  /** How much all keys use together. */
  get total(): number {
    return this.used;
  }

  of(key: string): number {
    return this.byKey.get(key) ?? 0;
  }

  /**
   * Whether the key may use `amount` more. Null: it may. Otherwise who uses too much: the `key` itself, or, when it
   * uses nothing, `all` together.
   */
  whyNot(key: string, amount: number): 'key' | 'all' | null {
    const own = this.of(key);
    if (own + amount <= Math.min(this.most.perKey, this.most.inAll - this.used)) return null;
    return own > 0 || amount > this.most.perKey ? 'key' : 'all';
  }

  /** @param amount negative to give back */
  add(key: string, amount: number): void {
    this.used += amount;
    const own = this.of(key) + amount;
    if (own === 0) this.byKey.delete(key);
    else this.byKey.set(key, own);
  }
}
