import { hash } from 'node:crypto';
import type { Labels } from '@baton/runner-sdk/protocol';
import type { Db } from '../store/db';
import * as store from '../store/lanes';
import { meets } from './requirements';

export type Lane = store.LaneRow;

/** A PostgreSQL index entry has at most 2,704 bytes; many long labels take more. */
const MOST_KEY_BYTES = 2000;

/** The fields of a job that decide which runners can take it, and before which other jobs. */
export interface Routing {
  queue: string;
  type: string;
  priority: number;
  requires: Labels | null;
  prefers: Labels | null;
}

/** The jobs that a runner takes. */
export interface RunnerCapabilities {
  types: string[];
  /** Undefined: all. */
  queues?: string[] | undefined;
  labels: Labels;
}

/** The creator of a lane, and how many lanes it may have created. */
export interface LaneMaker {
  name: string;
  most: number;
}

const NOBODY: LaneMaker = { name: '', most: 1000 };

/** How long a lane without ready jobs is kept, here and in the table. */
export const LANE_IDLE_MS = 3_600_000;

/**
 * Lanes in use, cached in memory. A lane never changes and its number is never reused, so a cached lane stays correct
 * when its row is deleted.
 */
export class LaneCatalog {
  private readonly byKey = new Map<string, Lane>();
  private readonly byId = new Map<number, Lane>();
  private readonly byQueue = new Map<string, Set<Lane>>();
  /** When each lane was last used, on the monotonic clock. */
  private readonly usedAtMs = new Map<number, number>();
  private changes = 0;

  constructor(private readonly db: Db) {}

  /** Changes whenever the catalog does, so that derived data can be recognised as stale. */
  get version(): number {
    return this.changes;
  }

  /**
   * Returns the lane of each routing, creating new ones.
   * @param makers the creator of each
   * @returns null where the creator has reached its limit
   */
  async of(routings: Routing[], makers: LaneMaker[] = []): Promise<(Lane | null)[]> {
    const keys = routings.map(keyOf);
    const unknown = new Map<string, Omit<store.NewLane, 'id'>>();
    routings.forEach((routing, index) => {
      const key = keys[index] ?? '';
      const { name: madeBy, most } = makers[index] ?? NOBODY;
      if (!this.byKey.has(key)) unknown.set(key, { ...pick(routing), key, madeBy, most });
    });
    if (unknown.size > 0) this.add(await store.ensure(this.db, [...unknown.values()]));
    const nowMs = performance.now();
    return keys.map((key) => {
      const lane = this.byKey.get(key) ?? null;
      if (lane !== null) this.usedAtMs.set(lane.id, nowMs);
      return lane;
    });
  }

  /** Reads lanes that another coordinator created. */
  async learn(ids: number[]): Promise<void> {
    const unknown = ids.filter((id) => !this.byId.has(id));
    if (unknown.length > 0) this.add(await store.listByIds(this.db, unknown));
  }

  /** The lanes of these queues. */
  ofQueues(queues: string[]): Lane[] {
    return queues.flatMap((queue) => [...(this.byQueue.get(queue) ?? [])]);
  }

  /** The names of queues that have lanes. */
  queues(): IterableIterator<string> {
    return this.byQueue.keys();
  }

  /** Every lane that this runner can take jobs from. */
  takenBy(taker: RunnerCapabilities): Lane[] {
    const types = new Set(taker.types);
    const queues = taker.queues === undefined ? null : new Set(taker.queues);
    return [...this.byId.values()].filter(
      (lane) =>
        types.has(lane.type) && (queues === null || queues.has(lane.queue)) && meets(lane.requires, taker.labels),
    );
  }

  /**
   * Forgets lanes that were not used recently and have no ready jobs.
   * @returns their numbers
   */
  forget(isReady: (id: number) => boolean, idleMs = LANE_IDLE_MS): number[] {
    const nowMs = performance.now();
    const idle = [...this.byId.values()].filter(
      ({ id }) => !isReady(id) && nowMs - (this.usedAtMs.get(id) ?? nowMs) >= idleMs,
    );
    for (const lane of idle) {
      this.byId.delete(lane.id);
      this.usedAtMs.delete(lane.id);
      if (lane.key !== null && this.byKey.get(lane.key) === lane) this.byKey.delete(lane.key);
      const others = this.byQueue.get(lane.queue);
      others?.delete(lane);
      if (others?.size === 0) this.byQueue.delete(lane.queue);
    }
    if (idle.length > 0) this.changes += 1;
    return idle.map(({ id }) => id);
  }

  private add(lanes: Lane[]): void {
    for (const lane of lanes) {
      const known = this.byId.get(lane.id);
      // Two calls may have read it at once. A duplicate would stay in some of the maps when it is forgotten.
      if (lane.key !== null) this.byKey.set(lane.key, known ?? lane);
      if (known !== undefined) continue;
      this.byId.set(lane.id, lane);
      this.usedAtMs.set(lane.id, performance.now());
      let others = this.byQueue.get(lane.queue);
      if (others === undefined) this.byQueue.set(lane.queue, (others = new Set()));
      others.add(lane);
    }
    if (lanes.length > 0) this.changes += 1;
  }
}

function pick({ queue, type, priority, requires, prefers }: Routing): Routing {
  return { queue, type, priority, requires, prefers };
}

function keyOf({ queue, type, priority, requires, prefers }: Routing): string {
  const key = JSON.stringify([queue, type, priority, sorted(requires), ...(prefers === null ? [] : [sorted(prefers)])]);
  return Buffer.byteLength(key) <= MOST_KEY_BYTES ? key : hash('sha256', key, 'base64url');
}

function sorted(labels: Labels | null): [string, Labels[string]][] | null {
  return labels === null ? null : Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
}
