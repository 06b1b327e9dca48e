const MOST_KNOWN = 10_000;

/** Answers that are kept for a short time, so that what they say is at most that old. One question is asked once at a time. */
export class Memory<Answer> {
  private readonly known = new Map<string, { answer: Promise<Answer>; until: number }>();

  constructor(private readonly keepMs: number) {}

  recall(name: string, ask: () => Promise<Answer>): Promise<Answer> {
    const now = performance.now();
    const known = this.known.get(name);
    if (known !== undefined && known.until > now) return known.answer;
    if (this.known.size >= MOST_KNOWN) this.known.clear();
    const answer = ask();
    this.known.set(name, { answer, until: now + this.keepMs });
    answer.catch(() => this.known.delete(name));
    return answer;
  }

  forget(name: string): void {
    this.known.delete(name);
  }
}
