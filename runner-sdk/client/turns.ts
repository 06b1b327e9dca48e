/** Lets steps that share a key begin in the order they were asked for; those of other keys are not waited for. */
export class Turns {
  private readonly last = new Map<string, Promise<void>>();

  /** Starts when `ready` is resolved and all before it have started. */
  take<T>(key: string, ready: Promise<unknown>, start: () => Promise<T>): Promise<T> {
    return this.run(key, ready, start, false);
  }

  /** As `take`, but those after it begin when it has ended. */
  takeAlone<T>(key: string, ready: Promise<unknown>, start: () => Promise<T>): Promise<T> {
    return this.run(key, ready, start, true);
  }

  private async run<T>(key: string, ready: Promise<unknown>, start: () => Promise<T>, isAlone: boolean): Promise<T> {
    const before = this.last.get(key);
    let end = () => {};
    const turn = new Promise<void>((resolve) => (end = resolve));
    this.last.set(key, turn);
    try {
      await Promise.all([before, ready]);
      const started = start();
      if (!isAlone) end();
      return await started;
    } finally {
      // One that never started lets nobody pass those before it.
      void Promise.resolve(before).then(end);
      void turn.then(() => {
        if (this.last.get(key) === turn) this.last.delete(key);
      });
    }
  }
}
