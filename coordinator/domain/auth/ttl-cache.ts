const MOST_KNOWN = 10_000;

/**
 * Caches answers for a short time, so that they are at most that old. Concurrent requests for one name share a lookup.
 */
export class TtlCache<Answer> {
  private readonly known = new Map<
    string,
    { answer: Promise<Answer>; came: { answer: Answer } | null; until: number }
  >();

  constructor(private readonly keepMs: number) {}

  recall(name: string, ask: () => Promise<Answer>): Promise<Answer> {
    const now = performance.now();
    const known = this.known.get(name);
    if (known !== undefined && known.until > now) return known.answer;
    if (this.known.size >= MOST_KNOWN) this.known.clear();
    const entry = { answer: ask(), came: null as { answer: Answer } | null, until: now + this.keepMs };
    this.known.set(name, entry);
    entry.answer.then(
      (answer) => (entry.came = { answer }),
      () => this.known.delete(name),
    );
    return entry.answer;
  }

  /** The answer, if it is cached and still fresh. */
  peek(name: string): Answer | undefined {
    const known = this.known.get(name);
    return known !== undefined && known.until > performance.now() ? known.came?.answer : undefined;
  }

  forget(name: string): void {
    this.known.delete(name);
  }
}
