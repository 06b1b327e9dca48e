import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { monotonicMs } from './clock';

export interface AttemptMetrics {
  durationMs: number;
  /**
   * CPU time of the whole process while the attempt ran: honest when it ran alone, its upper bound when others ran
   * beside it, since JavaScript cannot tell whose turn of the event loop was whose.
   */
  cpuMs: number;
  /** The process's largest resident set seen while the attempt ran. */
  memoryPeakBytes: number;
}

const RESOLUTION_MS = 20;
const SAMPLE_MS = 1000;
const RESIDENT_FRESH_MS = 10;

/** Samples the process once a second: how late its event loop is, and how much memory it holds. Keeps the process alive. */
export class ProcessMeter {
  private readonly delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private readonly running = new Set<{ peakBytes: number }>();
  private timer: NodeJS.Timeout | undefined;
  private cpuReadMs = 0;
  private cpuReadAtMs = -Infinity;
  private residentBytes = process.memoryUsage.rss();
  private residentReadAtMs = monotonicMs();

  start(onSample: (lagMs: number) => void): void {
    this.delays.enable();
    this.timer = setInterval(() => onSample(this.sample()), SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    this.delays.disable();
  }

  /** Starts measuring an attempt; the function it returns ends that and says what was seen. */
  measure(): () => AttemptMetrics {
    const startedAtMs = monotonicMs();
    const cpuBeforeMs = this.cpuMs(startedAtMs);
    const seen = { peakBytes: this.residentNow(startedAtMs) };
    this.running.add(seen);
    return () => {
      this.running.delete(seen);
      const endedAtMs = monotonicMs();
      seen.peakBytes = Math.max(seen.peakBytes, this.residentNow(endedAtMs));
      const cpuMs = this.cpuMs(endedAtMs) - cpuBeforeMs;
      return { durationMs: rounded(endedAtMs - startedAtMs), cpuMs: rounded(cpuMs), memoryPeakBytes: seen.peakBytes };
    };
  }

  /** The process's CPU time so far, read at most once a millisecond: the reading costs more than a small job. */
  private cpuMs(nowMs: number): number {
    if (nowMs - this.cpuReadAtMs >= 1) {
      const { user, system } = process.cpuUsage();
      this.cpuReadMs = (user + system) / 1000;
      this.cpuReadAtMs = nowMs;
    }
    return this.cpuReadMs;
  }

  /** The memory it holds, read at most every 10 ms: an attempt that ends between two samples is seen at its end. */
  private residentNow(nowMs: number): number {
    if (nowMs - this.residentReadAtMs >= RESIDENT_FRESH_MS) {
      this.residentBytes = process.memoryUsage.rss();
      this.residentReadAtMs = nowMs;
    }
    return this.residentBytes;
  }

  private sample(): number {
    this.residentReadAtMs = -Infinity;
    this.residentNow(monotonicMs());
    for (const seen of this.running) seen.peakBytes = Math.max(seen.peakBytes, this.residentBytes);
    const meanMs = this.delays.mean / 1e6;
    this.delays.reset();
    return Number.isFinite(meanMs) ? Math.max(0, meanMs - RESOLUTION_MS) : 0;
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
