/**
 * Work identified by keys, done in rounds, one at a time: keys added during a round are done once in the next, however
 * often they were added. So a round that starts after a key was added sees everything that existed then.
 */
export class WorkQueue {
  private keys = new Set<string>();
  private next: Promise<void> | undefined;
  private running: Promise<void> | undefined;

  /**
   * @param work does a round; returns the keys with more to do
   * @param onError receives what a round threw; its keys are dropped, so something else must find them
   */
  constructor(
    private readonly work: (keys: string[]) => Promise<Iterable<string>>,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Resolves after the first round that began with these keys, whether or not there is more to do. Never rejects. */
  add(keys: Iterable<string>): Promise<void> {
    for (const key of keys) this.keys.add(key);
    if (this.keys.size === 0) return Promise.resolve();
    return (this.next ??= this.run());
  }

  /** Resolves when there is nothing to do. */
  async idle(): Promise<void> {
    while (this.next !== undefined || this.running !== undefined) await (this.next ?? this.running);
  }

  private async run(): Promise<void> {
    await this.running;
    const keys = [...this.keys];
    this.keys = new Set();
    this.next = undefined;
    const round = this.round(keys);
    this.running = round;
    await round;
    if (this.running === round) this.running = undefined;
  }

  private async round(keys: string[]): Promise<void> {
    try {
      void this.add(await this.work(keys));
    } catch (error) {
      this.onError(error);
    }
  }
}
