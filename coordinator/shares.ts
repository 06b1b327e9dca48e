/** How much there is of something, and how much of it one key may have. */
export interface ShareLimits {
  inAll: number;
  perKey: number;
}

/**
 * Divides a total among keys. A key has at most its share, and never more than what is still free beside it: so whoever
 * comes first cannot take everything, and who has nothing yet finds something as long as there is any. (This is the
 * dynamic threshold by which switches divide their buffers, with a factor of one.)
 */
export class Shares {
  private readonly byKey = new Map<string, number>();
  private used = 0;

  constructor(private readonly most: ShareLimits) {}

  /** How much all keys have together. */
  get total(): number {
    return this.used;
  }

  of(key: string): number {
    return this.byKey.get(key) ?? 0;
  }

  /**
   * Whether the key may have so much more. Null: it may. Else who has too much: the `key` itself, or, when it has nothing,
   * `all` together.
   */
  whyNot(key: string, amount: number): 'key' | 'all' | null {
    const own = this.of(key);
    if (own + amount <= Math.min(this.most.perKey, this.most.inAll - this.used)) return null;
    return own > 0 || amount > this.most.perKey ? 'key' : 'all';
  }

  /** @param amount less than nothing: so much is given back */
  add(key: string, amount: number): void {
    this.used += amount;
    const own = this.of(key) + amount;
    if (own === 0) this.byKey.delete(key);
    else this.byKey.set(key, own);
  }
}
