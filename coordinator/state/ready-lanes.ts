import type { ReadyLane } from './notifications';

/** Position of a lane's first ready job. */
export interface Place {
  position: Date;
  /** Null: before every job of that position. */
  id: string | null;
}

interface Head {
  laneId: number;
  position: Date;
  id: string;
  isClosed: boolean;
}

interface LaneState {
  /** Whether the lane is believed to have jobs that are due. */
  hasJobs: boolean;
  /** Whether these are believed to be claimable now: the lane's queue is neither paused nor full. */
  isReady: boolean;
  /**
   * As far as is known, no job waits before this position. Claims read the index from here, to skip dead entries that
   * an old snapshot keeps alive.
   */
  from: Place | null;
  /** The last notification of it, counted over all lanes, to detect one that arrives while a statement runs. */
  notified: number;
}

/**
 * What this process knows about lanes: which have ready jobs, and from where to read them. It may be wrong until the
 * next notification or poll, so a job is at most one poll late.
 */
export class ReadyLanes {
  private readonly lanes = new Map<number, LaneState>();
  private notifications = 0;

  /**
   * How many notifications there were. Read it before a statement, and pass it on with what the statement found: lanes
   * with a later notification stay ready.
   */
  get now(): number {
    return this.notifications;
  }

  markReady(lanes: ReadyLane[]): void {
    for (const { laneId, positionMs } of lanes) {
      const lane = this.open(laneId);
      if (lane.from !== null && positionMs <= lane.from.position.getTime())
        lane.from = { position: new Date(positionMs), id: null };
    }
  }

  /** Jobs of these lanes may be claimable again although no job changed: a limit has room, or a pause is over. */
  reopen(laneIds: number[]): void {
    for (const id of laneIds) this.open(id);
  }

  /** Those of the lanes that have ready jobs. */
  among<Lane extends { id: number }>(lanes: Iterable<Lane>): Lane[] {
    const ready: Lane[] = [];
    for (const lane of lanes) if (this.isReady(lane.id)) ready.push(lane);
    return ready;
  }

  isReady(laneId: number): boolean {
    return this.lanes.get(laneId)?.isReady === true;
  }

  /** Whether the lane has jobs that are due, though they may have to wait for their queue. */
  hasJobs(laneId: number): boolean {
    return this.lanes.get(laneId)?.hasJobs === true;
  }

  /** The `most` lanes to read first: of the highest priorities, and of equal ones those with the earliest positions. */
  first<Lane extends { id: number; priority: number }>(lanes: Lane[], most: number): Lane[] {
    if (lanes.length <= most) return lanes;
    const chosen: { lane: Lane; atMs: number }[] = [];
    for (const lane of lanes) {
      const one = { lane, atMs: this.from(lane.id)?.position.getTime() ?? -Infinity };
      const last = chosen.at(-1);
      if (chosen.length === most && last !== undefined && !isBefore(one, last)) continue;
      let place = chosen.length;
      while (place > 0 && isBefore(one, chosen[place - 1] ?? one)) place -= 1;
      chosen.splice(place, 0, one);
      if (chosen.length > most) chosen.pop();
    }
    return chosen.map(({ lane }) => lane);
  }

  /** Drops lanes that are no longer in the catalog. */
  forget(laneIds: number[]): void {
    for (const id of laneIds) this.lanes.delete(id);
  }

  from(laneId: number): Place | null {
    return this.lanes.get(laneId)?.from ?? null;
  }

  /** A job was claimed at this position: earlier ones are gone, or another claim has them locked. */
  advance(laneId: number, to: { position: Date; id: string }): void {
    const lane = this.state(laneId);
    const { from } = lane;
    const isBehind =
      from === null || from.position < to.position || (+from.position === +to.position && (from.id ?? '') < to.id);
    if (isBehind) lane.from = to;
  }

  /** A claim found fewer jobs in the lane than it wanted. */
  exhausted(laneId: number, since: number): void {
    const lane = this.state(laneId);
    if (lane.notified <= since) lane.isReady = lane.hasJobs = false;
  }

  /** A claim found that the lane's queue is paused or full. */
  close(laneId: number, since: number): void {
    const lane = this.state(laneId);
    if (lane.notified <= since) lane.isReady = false;
  }

  /**
   * Applies a poll of the table: `heads` are the first jobs of all lanes that have any. Lanes of queues that give none
   * now, because they are paused or full, are not ready until they are reopened.
   */
  sync(heads: Head[], since: number): void {
    const isClosed = new Map(heads.map((head) => [head.laneId, head.isClosed]));
    for (const [id, lane] of this.lanes) {
      if (lane.notified > since) continue;
      lane.hasJobs = isClosed.has(id);
      lane.isReady = isClosed.get(id) === false;
    }
    for (const head of heads) {
      const lane = this.state(head.laneId);
      if (lane.notified <= since || lane.from === null || head.position < lane.from.position)
        lane.from = { position: head.position, id: null };
      lane.hasJobs = true;
      if (!head.isClosed) lane.isReady = true;
    }
  }

  private open(laneId: number): LaneState {
    const lane = this.state(laneId);
    lane.isReady = lane.hasJobs = true;
    lane.notified = this.notifications += 1;
    return lane;
  }

  private state(laneId: number): LaneState {
    let lane = this.lanes.get(laneId);
    if (lane === undefined)
      this.lanes.set(laneId, (lane = { hasJobs: false, isReady: false, from: null, notified: 0 }));
    return lane;
  }
}

type Candidate = { lane: { priority: number }; atMs: number };

function isBefore(one: Candidate, other: Candidate): boolean {
  return one.lane.priority !== other.lane.priority ? one.lane.priority > other.lane.priority : one.atMs < other.atMs;
}
