import type { ReadyHint } from '../events/hints';

/** Where the first job in turn of a lane stands. */
export interface Place {
  position: Date;
  /** Null: before all jobs of that position. */
  id: string | null;
}

interface LaneState {
  /** Whether jobs are believed to be in turn. */
  isReady: boolean;
  /** Nothing waits before this place, as far as is known: the claim index is read from here, past the dead entries of
   * jobs that are gone but that an old snapshot still keeps. */
  from: Place | null;
  /** Counts hints, to see whether one came while a statement was under way. */
  version: number;
}

/**
 * What this process believes of the lanes: which have jobs in turn, and from where to read them. It may be wrong: hints
 * and the regular look at the table put it right, so a job is at most one such look late.
 */
export class ReadyLanes {
  private readonly lanes = new Map<number, LaneState>();

  hint(hints: ReadyHint[]): void {
    for (const { laneId, positionMs } of hints) {
      const lane = this.state(laneId);
      lane.isReady = true;
      lane.version += 1;
      if (lane.from !== null && positionMs <= lane.from.position.getTime())
        lane.from = { position: new Date(positionMs), id: null };
    }
  }

  /** These lanes may give jobs again, though nothing in them changed: a limit has room, a pause is over. */
  reopen(laneIds: number[]): void {
    for (const id of laneIds) {
      const lane = this.state(id);
      lane.isReady = true;
      lane.version += 1;
    }
  }

  /** Those of the lanes that have jobs in turn. */
  ready<Lane extends { id: number }>(lanes: Lane[]): Lane[] {
    return lanes.filter((lane) => this.lanes.get(lane.id)?.isReady === true);
  }

  from(laneId: number): Place | null {
    return this.lanes.get(laneId)?.from ?? null;
  }

  version(laneId: number): number {
    return this.lanes.get(laneId)?.version ?? 0;
  }

  /** A job was claimed from here: what is before it is gone, or was passed over because another claim holds it. */
  advance(laneId: number, to: { position: Date; id: string }): void {
    const lane = this.state(laneId);
    const { from } = lane;
    const isBehind =
      from === null || from.position < to.position || (+from.position === +to.position && (from.id ?? '') < to.id);
    if (isBehind) lane.from = to;
  }

  /** A claim found less in the lane than it wanted. */
  drained(laneId: number, versionBefore: number): void {
    const lane = this.state(laneId);
    if (lane.version === versionBefore) lane.isReady = false;
  }

  /** What is known at the start of a look at the table. */
  versions(): Map<number, number> {
    return new Map([...this.lanes].map(([id, lane]) => [id, lane.version]));
  }

  /** A look at the table saw these heads; every other lane is empty. Lanes hinted at meanwhile keep their hint. */
  seen(heads: { laneId: number; position: Date; id: string }[], before: Map<number, number>): void {
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
