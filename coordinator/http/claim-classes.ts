import type { Claim } from '@baton/runner-sdk/protocol';
import type { Lane, LaneCatalog } from '../domain/jobs/lanes';

const MOST_CLASSES = 1000;

/** Claims of runners that take the same, and so can be served by one statement. */
export interface ClaimClass<Waiting> {
  lanes: Lane[];
  /** How many lanes there were when `lanes` was made. */
  catalogSize: number;
  waiting: Waiting[];
  /** How many statements for it are under way, and when the last one was started, on the monotonic clock. */
  statements: number;
  startedAtMs: number;
}

/** The claims that wait, by what their runners take. */
export class ClaimClasses<Waiting> {
  private readonly classes = new Map<string, ClaimClass<Waiting>>();

  constructor(private readonly lanes: LaneCatalog) {}

  of({ types, queues, labels }: Claim): ClaimClass<Waiting> {
    const key = JSON.stringify([[...types].sort(), queues === undefined ? null : [...queues].sort(), Object.entries(labels).sort()]);
    let group = this.classes.get(key);
    if (group === undefined) {
      this.dropIdle();
      this.classes.set(key, (group = { lanes: [], catalogSize: -1, waiting: [], statements: 0, startedAtMs: -Infinity }));
    }
    return group;
  }

  all(): IterableIterator<ClaimClass<Waiting>> {
    return this.classes.values();
  }

  waiting(): Waiting[] {
    return [...this.classes.values()].flatMap((group) => group.waiting);
  }

  /** The lanes that a runner of this class takes jobs from. */
  lanesOf(group: ClaimClass<Waiting>, taker: Claim): Lane[] {
    if (group.catalogSize !== this.lanes.size) {
      group.lanes = this.lanes.takenBy(taker);
      group.catalogSize = this.lanes.size;
    }
    return group.lanes;
  }

  private dropIdle(): void {
    if (this.classes.size < MOST_CLASSES) return;
    for (const [key, group] of this.classes) if (group.waiting.length === 0) this.classes.delete(key);
  }
}
