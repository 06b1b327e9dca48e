import type { Claim } from '@baton/runner-sdk/protocol';
import type { Lane, LaneCatalog, RunnerCapabilities } from '../state/lanes';

const MOST_CLASSES = 1000;

/** Claims of runners that take the same, and so can be served by one statement. */
export interface ClaimGroup<Waiting> {
  lanes: Lane[];
  /** The same by their ids. */
  laneById: Map<number, Lane>;
  /** How many lanes there were when `lanes` was made. */
  catalogSize: number;
  /** What its runners take, as one of them said it. */
  readonly taker: RunnerCapabilities;
  /** In the order in which they came. */
  readonly waiting: Set<Waiting>;
  /** Those that wait, of all classes, by what they are known by when they are sent again. */
  readonly named: Map<string, Waiting>;
  /** Those of them that shall be answered now, with nothing if there is nothing. */
  readonly due: Set<Waiting>;
  /** How many statements for it are under way, and when the last one was started, on the monotonic clock. */
  statements: number;
  startedAtMs: number;
  /** When it last had its turn: a statement was started for it, or a job was to be handed to one of its claims. */
  hadTurnAtMs: number;
}

/** The claims that wait, by what their runners take. */
export class ClaimGroups<Waiting> {
  private readonly classes = new Map<string, ClaimGroup<Waiting>>();
  private readonly named = new Map<string, Waiting>();

  constructor(private readonly lanes: LaneCatalog) {}

  of({ types, queues, labels }: Claim): ClaimGroup<Waiting> {
    const key = JSON.stringify([
      [...types].sort(),
      queues === undefined ? null : [...queues].sort(),
      Object.entries(labels).sort(),
    ]);
    let group = this.classes.get(key);
    if (group === undefined) {
      this.dropIdle();
      this.classes.set(
        key,
        (group = {
          lanes: [],
          laneById: new Map(),
          catalogSize: -1,
          taker: { types, queues, labels },
          waiting: new Set(),
          named: this.named,
          due: new Set(),
          statements: 0,
          startedAtMs: 0,
          hadTurnAtMs: 0,
        }),
      );
    }
    return group;
  }

  /** Those with claims that wait, the one whose last turn is longest ago first: else some would wait as long as others have a backlog. */
  inTurn(): ClaimGroup<Waiting>[] {
    return [...this.classes.values()]
      .filter((group) => group.waiting.size > 0)
      .sort((one, other) => one.hadTurnAtMs - other.hadTurnAtMs);
  }

  get size(): number {
    return [...this.classes.values()].reduce((sum, group) => sum + group.waiting.size, 0);
  }

  waiting(): Waiting[] {
    return [...this.classes.values()].flatMap((group) => [...group.waiting]);
  }

  due(): Waiting[] {
    return [...this.classes.values()].flatMap((group) => [...group.due]);
  }

  /** The lanes that a runner of this class takes jobs from. */
  lanesOf(group: ClaimGroup<Waiting>): Lane[] {
    if (group.catalogSize !== this.lanes.size) {
      group.lanes = this.lanes.takenBy(group.taker);
      group.laneById = new Map(group.lanes.map((lane) => [lane.id, lane]));
      group.catalogSize = this.lanes.size;
    }
    return group.lanes;
  }

  private dropIdle(): void {
    if (this.classes.size < MOST_CLASSES) return;
    for (const [key, group] of this.classes) if (group.waiting.size === 0) this.classes.delete(key);
  }
}
