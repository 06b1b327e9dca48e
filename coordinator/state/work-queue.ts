/**
 * Work that is named by keys, done one round at a time: keys that are added during a round are done in the next, each once,
 * however often it was added. So whatever was there when a key was added is seen by a round that begins afterwards.
 */
export class WorkQueue {
  private keys = new Set<string>();
  private next: Promise<void> | undefined;
  private running: Promise<void> | undefined;

  /**
   * @param work does a round; returns the keys of which there is more to do
   * @param onError told what a round threw; its keys are dropped, so something else must find them
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
