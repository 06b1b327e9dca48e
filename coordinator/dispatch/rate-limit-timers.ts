import type { Lane } from '../state/lanes';
import type { QueueSettings } from '../state/queue-settings';
import type { ReadyLanes } from '../state/ready-lanes';

const LEAST_MS = 20;

export interface RateLimitedLanes {
  queueSettings: Pick<QueueSettings, 'paceMs'>;
  readyLanes: Pick<ReadyLanes, 'reopen'>;
}

/** Reopens the lanes of rate-limited queues when the next job may start, if that is before the next poll. */
export class RateLimitTimers {
  private readonly timersByQueue = new Map<string, { timer: NodeJS.Timeout; laneIds: Set<number> }>();

  /**
   * @param mostMs limits with longer intervals between jobs are left to the poll
   * @param onReopened called when lanes were reopened
   */
  constructor(
    private readonly context: RateLimitedLanes,
    private readonly mostMs: number,
    private readonly onReopened: () => void,
  ) {}

  /** Call it with lanes that gave fewer jobs than a claim asked for, or whose queue is believed to give none now. */
  start(lanes: Pick<Lane, 'id' | 'queue'>[]): void {
    for (const { id, queue } of lanes) {
      const inMs = this.context.queueSettings.paceMs(queue) ?? Infinity;
      if (inMs >= this.mostMs) continue;
      this.laneIdsOf(queue, Math.max(LEAST_MS, inMs)).add(id);
    }
  }

  close(): void {
    for (const { timer } of this.timersByQueue.values()) clearTimeout(timer);
    this.timersByQueue.clear();
  }

  /** The lanes that are reopened when the queue's timer fires. */
  private laneIdsOf(queue: string, inMs: number): Set<number> {
    const started = this.timersByQueue.get(queue);
    if (started !== undefined) return started.laneIds;
    const laneIds = new Set<number>();
    const timer = setTimeout(() => {
      this.timersByQueue.delete(queue);
      this.context.readyLanes.reopen([...laneIds]);
      this.onReopened();
    }, inMs);
    this.timersByQueue.set(queue, { timer, laneIds });
    return laneIds;
  }
}
