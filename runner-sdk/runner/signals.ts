import { monotonicMs } from '../transport/clock';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/**
 * `npx` and `npm` pass on a signal that the terminal or the supervisor has already sent to the whole group, so it
 * arrives twice.
 */
const SAME_SIGNAL_MS = 1000;
/** How long other listeners of the signal may take after the runners have stopped. */
const OTHERS_MS = 30_000;

/** A runner that is stopped by a signal to the process. */
export interface Signalled {
  stop: () => Promise<void>;
  /** The process was signalled again, and ends now. */
  onAgain: (signal: NodeJS.Signals) => void;
  /** The runners have stopped, and ending the process is left to other listeners of the signal. */
  onLeft: (signal: NodeJS.Signals) => void;
}

/**
 * Handles SIGTERM and SIGINT for the runners of a process: the first signal stops all of them, and ends the process
 * when the last has stopped; the next one ends it at once. Runners that were already stopping finish as well. When
 * there are other listeners of the signal, ending the process is left to them for 30 s.
 */
class ProcessSignals {
  private readonly runners = new Set<Signalled>();
  private toldAtMs: number | null = null;
  private isListening = false;
  private readonly onSignal = (signal: NodeJS.Signals) => this.stopAll(signal);

  listen(runner: Signalled): void {
    // Prepended, so that `once` listeners are still registered when they are counted.
    if (!this.isListening) for (const signal of SIGNALS) process.prependListener(signal, this.onSignal);
    this.isListening = true;
    this.runners.add(runner);
  }

  ignore(runner: Signalled): void {
    // After a signal it keeps listening, because another one may arrive before the process has ended.
    if (!this.runners.delete(runner) || this.runners.size > 0 || this.toldAtMs !== null) return;
    for (const signal of SIGNALS) process.off(signal, this.onSignal);
    this.isListening = false;
  }

  private stopAll(signal: NodeJS.Signals): void {
    const runners = [...this.runners];
    if (this.toldAtMs !== null) {
      if (monotonicMs() - this.toldAtMs < SAME_SIGNAL_MS) return;
      for (const runner of runners) runner.onAgain(signal);
      process.exit(1);
    }
    this.toldAtMs = monotonicMs();
    const hasOthers = process.rawListeners(signal).some((listener) => listener !== this.onSignal);
    void Promise.allSettled(runners.map((runner) => runner.stop())).then(() => {
      if (!hasOthers) process.exit(0);
      for (const runner of runners) runner.onLeft(signal);
      setTimeout(() => process.exit(0), OTHERS_MS).unref();
    });
  }
}

const KEY = Symbol.for('@baton/runner-sdk:process-signals');

/**
 * The instance of this process: a second copy of this package shares it, otherwise the two would wait for each other.
 */
export const processSignals: Pick<ProcessSignals, 'listen' | 'ignore'> = ((globalThis as { [KEY]?: ProcessSignals })[
  KEY
] ??= new ProcessSignals());
