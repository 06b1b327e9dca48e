import type { CreateOptions } from '@baton/runner-sdk';

/** What a job of these tests asks its handler to do, and what its handler returns. */
export interface Work {
  /** Names the create it comes from. */
  key: string;
  /** `wait`: lets others run meanwhile; `spin`: blocks the event loop; `exit`: ends the process; `fail`: throws. */
  does: ('wait' | 'spin' | 'exit' | 'fail')[];
  /** For how long first. The n-th attempt takes the n-th of each list, later ones the last. */
  ms: number[];
}

export interface WorkResult {
  key: string;
  attempt: number;
  runnerId: string;
}

export const WORK = 'E2E_WORK';

/** A job of these tests as it is created. */
export interface WorkOrder extends Omit<Work, 'key' | 'does'> {
  does?: Work['does'];
  options?: Omit<CreateOptions, 'idempotencyKey'>;
}

/** Tried again at once: what is tested is that it is, not when. */
export const AT_ONCE = { strategy: 'fixed', baseMs: 20, jitter: 0 } as const;
