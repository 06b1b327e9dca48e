import type { Context } from '../context';
import type { Lane } from '../state/lanes';

const LEAST_MS = 20;

/** Rate limits let the next job start before the next look at the table would find it. */
export class RateLimitTimers {
  /** By queue: which of its lanes may give jobs again when its limit lets one start. */
  private readonly lanes = new Map<string, Set<number>>();
  private readonly timers = new Set<NodeJS.Timeout>();

  /**
   * @param mostMs slower limits are left to the look at the table
   * @param onOpen told when lanes were opened again
   */
  constructor(
    private readonly context: Context,
    private readonly mostMs: number,
    private readonly onOpen: () => void,
  ) {}

  /** These lanes gave less than was asked for. */
  comeBack(lanes: Lane[]): void {
    for (const { id, queue } of lanes) {
      const inMs = this.context.queueSettings.paceMs(queue) ?? Infinity;
      if (inMs >= this.mostMs) continue;
      const those = this.lanes.get(queue);
      if (those === undefined) this.openIn(Math.max(LEAST_MS, inMs), queue, new Set([id]));
      else those.add(id);
    }
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }

  private openIn(inMs: number, queue: string, laneIds: Set<number>): void {
    this.lanes.set(queue, laneIds);
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.lanes.delete(queue);
      this.context.readyLanes.reopen([...laneIds]);
      this.onOpen();
    }, inMs);
    this.timers.add(timer);
  }
}
