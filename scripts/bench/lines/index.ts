import type { Sizes } from '../sizes';
import { composition } from './composition';
import { createBulk, createHttp, createOne } from './create';
import { bound, claimers, drain, drainOne, limits } from './drain';
import { backlog, pinned } from './growth';
import { idle } from './idle';
import type { Line } from './line';
import { pickUp } from './pick-up';
import { storeLine } from './store';

/** The lines of the table, in its order. */
export function linesFor(sizes: Sizes): Line[] {
  return [
    createOne,
    createHttp,
    createBulk,
    drain,
    drainOne,
    pickUp,
    claimers,
    backlog,
    pinned,
    idle(sizes),
    bound,
    limits,
    composition,
    storeLine,
  ];
}
