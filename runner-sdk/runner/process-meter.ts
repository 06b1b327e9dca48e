import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { monotonicMs } from '../transport/clock';

export interface AttemptMetrics {
  durationMs: number;
  /**
   * CPU time of the whole process while the attempt ran, in milliseconds: exact if it ran alone, an upper bound if
   * others ran at the same time, since JavaScript cannot attribute turns of the event loop. It is read at most every 5
   * ms, so for a shorter attempt it may be 0, or include earlier attempts; over many attempts it adds up.
   */
  cpuMs: number;
  /** The largest resident set of the process seen while the attempt ran, in bytes. */
  memoryPeakBytes: number;
  /** The handler's own metrics, if it has any. */
  custom?: Readonly<Record<string, number>>;
}

const RESOLUTION_MS = 20;
const SAMPLE_MS = 1000;
/** With several busy threads each reading takes about 20 µs, because the kernel asks all of them. */
const CPU_FRESH_MS = 5;
const RESIDENT_FRESH_MS = 10;

/**
 * Samples the process once a second: the lag of its event loop, and its memory. One instance serves all runners of a
 * process, and keeps the process alive while one of them works.
 */
export class ProcessMeter {
  private readonly delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private readonly running = new Set<{ peakBytes: number }>();
  private readonly listeners = new Set<(lagMs: number) => void>();
  private timer: NodeJS.Timeout | undefined;
  private cpuReadMs = 0;
  private cpuReadAtMs = -Infinity;
  private residentBytes = 0;
  private residentReadAtMs = -Infinity;

  /** Reports the event loop's lag of each sample, until `stop` is called with the same function. */
  start(onSample: (lagMs: number) => void): void {
    this.listeners.add(onSample);
    if (this.timer !== undefined) return;
    this.delays.reset();
    this.delays.enable();
    this.timer = setInterval(() => this.sample(), SAMPLE_MS);
  }

  stop(onSample: (lagMs: number) => void): void {
    this.listeners.delete(onSample);
    if (this.listeners.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.delays.disable();
  }

  /** Starts measuring an attempt; the returned function ends that and returns the metrics. */
  measure(): () => AttemptMetrics {
    const startedAtMs = monotonicMs();
    const cpuBeforeMs = this.cpuMs(startedAtMs);
    const seen = { peakBytes: this.residentNow(startedAtMs) };
    this.running.add(seen);
    return () => {
      this.running.delete(seen);
      const endedAtMs = monotonicMs();
      const memoryPeakBytes = Math.max(seen.peakBytes, this.residentNow(endedAtMs));
      const cpuMs = this.cpuMs(endedAtMs) - cpuBeforeMs;
      return { durationMs: rounded(endedAtMs - startedAtMs), cpuMs: rounded(cpuMs), memoryPeakBytes };
    };
  }

  /** The process's CPU time so far. */
  private cpuMs(nowMs: number): number {
    if (nowMs - this.cpuReadAtMs >= CPU_FRESH_MS) {
      const { user, system } = process.cpuUsage();
      this.cpuReadMs = (user + system) / 1000;
      this.cpuReadAtMs = nowMs;
    }
    return this.cpuReadMs;
  }

  /** The resident memory, read at most every 10 ms: an attempt that ends between two samples is measured at its end. */
  private residentNow(nowMs: number): number {
    if (nowMs - this.residentReadAtMs >= RESIDENT_FRESH_MS) {
      this.residentBytes = process.memoryUsage.rss();
      this.residentReadAtMs = nowMs;
    }
    return this.residentBytes;
  }

  private sample(): void {
    this.residentReadAtMs = -Infinity;
    this.residentNow(monotonicMs());
    for (const seen of this.running) seen.peakBytes = Math.max(seen.peakBytes, this.residentBytes);
    const meanMs = this.delays.mean / 1e6;
    this.delays.reset();
    const lagMs = Number.isFinite(meanMs) ? Math.max(0, meanMs - RESOLUTION_MS) : 0;
    for (const tell of this.listeners) tell(lagMs);
  }
}

/** The instance of this process. */
export const processMeter = new ProcessMeter();

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
