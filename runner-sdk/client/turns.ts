/** Starts steps that share a key in the order of the calls; steps of other keys do not wait. */
export class Turns {
  private readonly last = new Map<string, Promise<void>>();

  /** Starts when `ready` has resolved and all steps before it have started. */
  take<T>(key: string, ready: Promise<unknown>, start: () => Promise<T>): Promise<T> {
    return this.run(key, ready, start, false);
  }

  /** As `take`, but later steps start only when it has ended. */
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
      // A step that never started must not let later ones pass those before it.
      void Promise.resolve(before).then(end);
      void turn.then(() => {
        if (this.last.get(key) === turn) this.last.delete(key);
      });
    }
  }
}
