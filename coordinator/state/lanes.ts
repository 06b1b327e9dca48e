import { hash } from 'node:crypto';
import type { Labels } from '@baton/runner-sdk/protocol';
import type { Db } from '../store/db';
import * as store from '../store/lanes';
import { meets } from './requirements';

export type Lane = store.LaneRow;

/** An index of PostgreSQL takes 2,704 bytes a row; many long labels are more. */
const MOST_KEY_BYTES = 2000;

/** What of a job decides which runners can take it, and before which others. */
export interface Routing {
  queue: string;
  type: string;
  priority: number;
  requires: Labels | null;
  prefers: Labels | null;
}

/** What a runner takes. */
export interface RunnerCapabilities {
  types: string[];
  /** Undefined: all. */
  queues?: string[] | undefined;
  labels: Labels;
}

/** The lanes, kept in memory: they are few, and never change. */
export class LaneCatalog {
  private readonly byKey = new Map<string, Lane>();
  private readonly byId = new Map<number, Lane>();

  constructor(private readonly db: Db) {}

  /** Changes with every change of the catalog, to tell whether what was derived from it is stale. */
  get version(): number {
    return this.byId.size;
  }

  /** The lane of each routing; new ones are made. */
  async of(routings: Routing[]): Promise<Lane[]> {
    const keys = routings.map(keyOf);
    const unknown = new Map<string, Omit<Lane, 'id'>>();
    routings.forEach((routing, index) => {
      const key = keys[index] ?? '';
      if (!this.byKey.has(key)) unknown.set(key, { ...pick(routing), key });
    });
    if (unknown.size > 0) this.add(await store.ensure(this.db, [...unknown.values()]));
    return keys.map((key) => {
      const lane = this.byKey.get(key);
      if (lane === undefined) throw new Error(`lane ${key} was not made`);
      return lane;
    });
  }

  /** Reads those lanes that another coordinator made. */
  async learn(ids: number[]): Promise<void> {
    const unknown = ids.filter((id) => !this.byId.has(id));
    if (unknown.length > 0) this.add(await store.listByIds(this.db, unknown));
  }

  /** The lanes of these queues. */
  ofQueues(queues: string[]): Lane[] {
    return [...this.byId.values()].filter((lane) => queues.includes(lane.queue));
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

  private add(lanes: Lane[]): void {
    for (const lane of lanes) {
      this.byKey.set(lane.key, lane);
      this.byId.set(lane.id, lane);
    }
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
