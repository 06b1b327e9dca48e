export type Scale = 'full' | 'quick' | 'smoke';

/** How much each line does. */
export interface Sizes {
  /** One database and its coordinators for all lines, instead of fresh ones for each run. */
  keepsCoordinators: boolean;
  rounds: number;
  /**
   * Jobs before the timed ones: created by all systems; drained by Baton's coordinator, which is not a worker's own
   * process.
   */
  warmUp: number;
  createOne: number;
  createHttp: number;
  createBulk: number;
  drain: number;
  drainOne: number;
  pickUps: number;
  claimers: number;
  /** Jobs of a batch and of a workflow. */
  composition: { batch: number; workflow: number };
  /** Numbers of waiting or finished jobs: few and many. */
  backlog: { few: number; many: number; claims: number };
  /** Jobs that the statements of the store move from create to end. */
  store: number;
  pinned: { perSecond: number; holdMs: number; windowMs: number };
  /**
   * A full window is as long as a poll waits on average, so that each poll ends once in it and starts again. Each also
   * ends once before the window, as in a fleet that has been idle for some time.
   */
  idle: { runners: number[]; settleMs: number; windowMs: number };
}

export const SIZES: Record<Scale, Sizes> = {
  full: {
    keepsCoordinators: false,
    rounds: 3,
    warmUp: 10_000,
    createOne: 40_000,
    createHttp: 15_000,
    createBulk: 50_000,
    drain: 50_000,
    drainOne: 15_000,
    pickUps: 500,
    claimers: 20_000,
    composition: { batch: 100_000, workflow: 10_000 },
    backlog: { few: 10_000, many: 1_000_000, claims: 50 },
    store: 60_000,
    pinned: { perSecond: 300, holdMs: 40_000, windowMs: 10_000 },
    idle: { runners: [1000, 5000], settleMs: 40_000, windowMs: 37_500 },
  },
  quick: {
    keepsCoordinators: true,
    rounds: 1,
    warmUp: 500,
    createOne: 8000,
    createHttp: 3000,
    createBulk: 10_000,
    drain: 10_000,
    drainOne: 2000,
    pickUps: 100,
    claimers: 2000,
    composition: { batch: 10_000, workflow: 2000 },
    backlog: { few: 5000, many: 50_000, claims: 15 },
    store: 20_000,
    pinned: { perSecond: 300, holdMs: 3000, windowMs: 1500 },
    idle: { runners: [200, 1000], settleMs: 500, windowMs: 2000 },
  },
  smoke: {
    keepsCoordinators: true,
    rounds: 1,
    warmUp: 10,
    createOne: 200,
    createHttp: 100,
    createBulk: 500,
    drain: 500,
    drainOne: 100,
    pickUps: 5,
    claimers: 200,
    composition: { batch: 500, workflow: 100 },
    backlog: { few: 300, many: 1000, claims: 1 },
    store: 500,
    pinned: { perSecond: 100, holdMs: 600, windowMs: 300 },
    idle: { runners: [5, 20], settleMs: 100, windowMs: 300 },
  },
};
