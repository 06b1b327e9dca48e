/**
 * The scopes that callers listened to of late, whose events go on being written down so that a listener may come back. Each
 * caller has only so many, so that none makes the table of watches grow without end.
 */
export class RecentScopes {
  /** By caller, each one's scopes in the order of their last use. */
  private readonly byOwner = new Map<string, Map<string, number>>();

  constructor(private readonly most: number) {}

  /** @returns the scopes that the caller has too many of by now */
  use(owner: string, scope: string): string[] {
    const own = this.byOwner.get(owner) ?? new Map<string, number>();
    this.byOwner.set(owner, own);
    own.delete(scope);
    own.set(scope, performance.now());
    const over = [...own.keys()].slice(0, Math.max(0, own.size - this.most));
    for (const one of over) own.delete(one);
    return over;
  }

  /** Forgets what was not used for so long. */
  forget(afterMs: number): void {
    const untilMs = performance.now() - afterMs;
    for (const [owner, own] of this.byOwner) {
      for (const [scope, usedAtMs] of own) if (usedAtMs < untilMs) own.delete(scope);
      if (own.size === 0) this.byOwner.delete(owner);
    }
  }
}
