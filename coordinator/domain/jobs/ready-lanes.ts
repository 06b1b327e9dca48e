import type { ReadyHint } from '../events/hints';

/** Where the first waiting job of a lane stands. */
export interface Place {
  runAt: Date;
  id: string | null;
}

interface LaneState {
  /** When its next job is due, on this process's monotonic clock; Infinity: nothing known. */
  dueAt: number;
  /** The next hinted time after `dueAt`. */
  laterAt: number;
  /** Nothing waits before this place, as far as is known: the claim index is read from here, past the dead entries of
   * jobs that are gone but that an old snapshot still keeps. */
  from: Place | null;
  /** Counts hints, to see whether one came while a statement was under way. */
  version: number;
}

/**
 * What this process believes of the lanes: which have due jobs, and from where to read them. It may be wrong: hints and
 * the regular look at the table put it right, so a job is at most one such look late.
 */
export class ReadyLanes {
  private readonly lanes = new Map<number, LaneState>();

  hint(hints: ReadyHint[], now: number): void {
    for (const { laneId, dueInMs, runAtMs } of hints) {
      const lane = this.state(laneId);
      const dueAt = now + Math.max(0, dueInMs);
      if (dueAt < lane.dueAt) [lane.dueAt, lane.laterAt] = [dueAt, Math.min(lane.laterAt, lane.dueAt)];
      else if (dueAt > lane.dueAt) lane.laterAt = Math.min(lane.laterAt, dueAt);
      if (lane.from !== null && runAtMs <= lane.from.runAt.getTime()) lane.from = { runAt: new Date(runAtMs), id: null };
      lane.version += 1;
    }
  }

  /** Those of the lanes that have due jobs. */
  due<Lane extends { id: number }>(lanes: Lane[], now: number): Lane[] {
    return lanes.filter((lane) => (this.lanes.get(lane.id)?.dueAt ?? Infinity) <= now);
  }

  /** When the next of all lanes that has nothing due gets due; Infinity: not known of any. */
  nextDueAt(now: number): number {
    let next = Infinity;
    for (const { dueAt, laterAt } of this.lanes.values()) {
      if (dueAt > now) next = Math.min(next, dueAt);
      else if (laterAt > now) next = Math.min(next, laterAt);
    }
    return next;
  }

  from(laneId: number): Place | null {
    return this.lanes.get(laneId)?.from ?? null;
  }

  version(laneId: number): number {
    return this.lanes.get(laneId)?.version ?? 0;
  }

  /** A job was claimed from here: what is before it is gone, or was passed over because another claim holds it. */
  advance(laneId: number, to: { runAt: Date; id: string }): void {
    const lane = this.state(laneId);
    const isBehind = lane.from === null || lane.from.runAt < to.runAt || (+lane.from.runAt === +to.runAt && (lane.from.id ?? '') < to.id);
    if (isBehind) lane.from = to;
  }

  /** A claim found less in the lane than it wanted. */
  drained(laneId: number, versionBefore: number): void {
    const lane = this.state(laneId);
    if (lane.version !== versionBefore) return;
    [lane.dueAt, lane.laterAt] = [lane.laterAt, Infinity];
  }

  /** What is known at the start of a look at the table. */
  versions(): Map<number, number> {
    return new Map([...this.lanes].map(([id, lane]) => [id, lane.version]));
  }

  /** A look at the table saw these heads; every other lane is empty. Lanes hinted at meanwhile keep their hint. */
  seen(heads: { laneId: number; runAt: Date; id: string; dueInMs: number }[], before: Map<number, number>, now: number): void {
    const heard = new Map(heads.map((head) => [head.laneId, head]));
    for (const [id, lane] of this.lanes) {
      if (!heard.has(id) && lane.version === before.get(id)) [lane.dueAt, lane.laterAt] = [Infinity, Infinity];
    }
    for (const head of heads) {
      const lane = this.state(head.laneId);
      const isUnchanged = lane.version === (before.get(head.laneId) ?? 0);
      const dueAt = now + Math.max(0, head.dueInMs);
      if (isUnchanged || lane.from === null) {
        [lane.dueAt, lane.laterAt, lane.from] = [dueAt, Infinity, { runAt: head.runAt, id: head.id }];
      } else {
        lane.dueAt = Math.min(lane.dueAt, dueAt);
        if (head.runAt < lane.from.runAt) lane.from = { runAt: head.runAt, id: null };
      }
    }
  }

  private state(laneId: number): LaneState {
    let lane = this.lanes.get(laneId);
    if (lane === undefined) this.lanes.set(laneId, (lane = { dueAt: Infinity, laterAt: Infinity, from: null, version: 0 }));
    return lane;
  }
}
