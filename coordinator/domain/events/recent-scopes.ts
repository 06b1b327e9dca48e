/**
 * The scopes that callers listened to recently, whose events are still stored so that a listener may resume. The number
 * per caller is limited, so that no caller makes the table of watches grow without bound.
 */
export class RecentScopes {
  /** By caller, scopes in the order of their last use. */
  private readonly byOwner = new Map<string, Map<string, number>>();

  constructor(private readonly most: number) {}

  /** @returns the caller's scopes beyond the limit, which are dropped */
  use(owner: string, scope: string): string[] {
    const own = this.byOwner.get(owner) ?? new Map<string, number>();
    this.byOwner.set(owner, own);
    own.delete(scope);
    own.set(scope, performance.now());
    const over = [...own.keys()].slice(0, Math.max(0, own.size - this.most));
    for (const one of over) own.delete(one);
    return over;
  }

  /** Forgets scopes that were not used for this long. */
  forget(afterMs: number): void {
    const untilMs = performance.now() - afterMs;
    for (const [owner, own] of this.byOwner) {
      for (const [scope, usedAtMs] of own) if (usedAtMs < untilMs) own.delete(scope);
      if (own.size === 0) this.byOwner.delete(owner);
    }
  }
}
