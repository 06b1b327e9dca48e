import type { Context } from '../context';
import { complete } from '../domain/jobs/complete';
import { create } from '../domain/jobs/create';
import { heartbeat } from '../domain/jobs/heartbeat';
import { release } from '../domain/jobs/release';
import type { Reserve } from '../domain/jobs/candidates/reservation';
import { runInSlices } from '../turns';
import { coalesce } from './coalesce';

/** The most frequent verbs. Items of requests that arrive at the same time are merged into one statement. */
export interface BatchedVerbs {
  create: (items: Parameters<typeof create>[1]) => ReturnType<typeof create>;
  complete: (items: Parameters<typeof complete>[1]) => ReturnType<typeof complete>;
  heartbeat: (items: Parameters<typeof heartbeat>[1]) => ReturnType<typeof heartbeat>;
  release: (items: Parameters<typeof release>[1]) => ReturnType<typeof release>;
}

/** @param reserve reserves waiting claims for jobs as they are created */
export function batchVerbs(context: Context, reserve: Reserve): BatchedVerbs {
  return {
    create: coalesce((items) => create(context, items, reserve), { maxBatch: 1000, maxInFlight: 2 }),
    complete: coalesce((items) => runInSlices(items, (slice) => complete(context, slice)), {
      maxBatch: 1000,
      maxInFlight: 2,
    }),
    heartbeat: coalesce((items) => runInSlices(items, (slice) => heartbeat(context, slice)), {
      maxBatch: 2000,
      maxInFlight: 1,
    }),
    release: coalesce((items) => runInSlices(items, (slice) => release(context, slice)), {
      maxBatch: 500,
      maxInFlight: 1,
    }),
  };
}
