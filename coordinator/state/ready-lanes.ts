import type { ReadyLane } from './notifications';

/** Position of a lane's first ready job. */
export interface Place {
  position: Date;
  /** Null: before every job of that position. */
  id: string | null;
}

interface LaneState {
  /** Whether the lane is believed to have jobs that can be claimed. */
  isReady: boolean;
  /**
   * As far as is known, no job waits before this position. Claims read the index from here, to skip dead entries that
   * an old snapshot keeps alive.
   */
  from: Place | null;
  /** Counts notifications, to detect one that arrives while a statement runs. */
  version: number;
}

/**
 * What this process knows about lanes: which have ready jobs, and from where to read them. It may be wrong until the
 * next notification or poll, so a job is at most one poll late.
 */
export class ReadyLanes {
  private readonly lanes = new Map<number, LaneState>();

  markReady(lanes: ReadyLane[]): void {
    for (const { laneId, positionMs } of lanes) {
      const lane = this.state(laneId);
      lane.isReady = true;
      lane.version += 1;
      if (lane.from !== null && positionMs <= lane.from.position.getTime())
        lane.from = { position: new Date(positionMs), id: null };
    }
  }

  /** Jobs of these lanes may be claimable again although no job changed: a limit has room, or a pause is over. */
  reopen(laneIds: number[]): void {
    for (const id of laneIds) {
      const lane = this.state(id);
      lane.isReady = true;
      lane.version += 1;
    }
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

  version(laneId: number): number {
    return this.lanes.get(laneId)?.version ?? 0;
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
  exhausted(laneId: number, versionBefore: number): void {
    const lane = this.state(laneId);
    if (lane.version === versionBefore) lane.isReady = false;
  }

  /** Call it before the table is polled, and pass the result to `sync` afterwards. */
  versions(): Map<number, number> {
    return new Map([...this.lanes].map(([id, lane]) => [id, lane.version]));
  }

  /**
   * Applies a poll of the table: `heads` are the first jobs of all lanes that have any. A lane with a notification
   * during the poll stays ready.
   */
  sync(heads: { laneId: number; position: Date; id: string }[], before: Map<number, number>): void {
    const found = new Set(heads.map((head) => head.laneId));
    for (const [id, lane] of this.lanes) {
      if (!found.has(id) && lane.version === before.get(id)) lane.isReady = false;
    }
    for (const head of heads) {
      const lane = this.state(head.laneId);
      const isUnchanged = lane.version === (before.get(head.laneId) ?? 0);
      if (isUnchanged || lane.from === null || head.position < lane.from.position)
        lane.from = { position: head.position, id: null };
      lane.isReady = true;
    }
  }

  private state(laneId: number): LaneState {
    let lane = this.lanes.get(laneId);
    if (lane === undefined) this.lanes.set(laneId, (lane = { isReady: false, from: null, version: 0 }));
    return lane;
  }
}

type Candidate = { lane: { priority: number }; atMs: number };

function isBefore(one: Candidate, other: Candidate): boolean {
  return one.lane.priority !== other.lane.priority ? one.lane.priority > other.lane.priority : one.atMs < other.atMs;
}
