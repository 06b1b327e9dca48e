const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** A runner that a signal to the process stops. */
export interface Signalled {
  stop: () => Promise<void>;
  /** The process was told a second time, and ends now. */
  onAgain: (signal: NodeJS.Signals) => void;
}

/**
 * What SIGTERM and SIGINT do to the runners of a process: the first stops all of them and ends the process when the last
 * has stopped, the next ends it at once. Who was stopped otherwise before the first signal may finish all the same.
 */
class ProcessSignals {
  private readonly runners = new Set<Signalled>();
  private wasTold = false;
  private readonly onSignal = (signal: NodeJS.Signals) => this.stopAll(signal);

  heed(runner: Signalled): void {
    if (this.runners.size === 0) for (const signal of SIGNALS) process.on(signal, this.onSignal);
    this.runners.add(runner);
  }

  ignore(runner: Signalled): void {
    if (!this.runners.delete(runner) || this.runners.size > 0) return;
    for (const signal of SIGNALS) process.off(signal, this.onSignal);
  }

  private stopAll(signal: NodeJS.Signals): void {
    const runners = [...this.runners];
    if (this.wasTold) {
      for (const runner of runners) runner.onAgain(signal);
      process.exit(1);
    }
    this.wasTold = true;
    void Promise.all(runners.map((runner) => runner.stop())).finally(() => process.exit(0));
  }
}

export const processSignals = new ProcessSignals();
