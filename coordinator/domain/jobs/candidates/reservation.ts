import { BatonError } from '../../../errors';
import { type ClaimedRow, handedRow, MOST_CLAIM_BYTES, type Offer } from '../../../store/jobs';
import type { JobCandidate, Outcome } from './job-candidate';

/**
 * Waiting claims that are reserved for jobs about to be stored. A job with an offer is stored as running, for the claim
 * of the offer, in the same statement.
 */
export interface Reservation {
  readonly offers: Offer[];
  /**
   * Called on commit, on rollback and on an unknown outcome: delivers these jobs to the claims they were stored for.
   * The other claims keep waiting, and jobs that they may have been granted are looked up by claim id. Only the first
   * call has an effect.
   */
  settle(stored: ClaimedRow[]): void;
}

/** Reserves waiting claims for these jobs, given in the order in which their queues would hand them out. */
export type Reserve = (jobs: { id: string; laneId: number }[]) => Reservation;

export const NOTHING_RESERVED: Reservation = { offers: [], settle: () => undefined };

/**
 * Reserves claims for those jobs that can be claimed at once, in the order in which their queues hand them out: by
 * priority, then the first job of each user before anyone's second. Jobs that wait for a time or a key are left out.
 */
export function reserveFor(candidates: JobCandidate[], reserve: Reserve): Reservation {
  const turns = new Map<string, number>();
  const jobs = candidates.filter(isClaimableAtOnce).map(({ bytes, row: { id, laneId, queue, priority, userId } }) => {
    const user = userId === undefined ? null : JSON.stringify([queue, priority, userId]);
    const turn = user === null ? 0 : (turns.get(user) ?? 0);
    if (user !== null) turns.set(user, turn + 1);
    return { id, laneId, bytes, priority, turn };
  });
  return reserve(withinClaim(jobs.sort((one, other) => other.priority - one.priority || one.turn - other.turn)));
}

/** The first jobs, as many as one claim may be answered with, because a single claim may get all of them. */
function withinClaim<Job extends { bytes: number }>(jobs: Job[]): Job[] {
  let bytes = 0;
  const end = jobs.findIndex((job) => (bytes += job.bytes) > MOST_CLAIM_BYTES);
  return end < 0 ? jobs : jobs.slice(0, Math.max(1, end));
}

/** The jobs that were stored as running for the claims of the offers, as these claims receive them. */
export function claimedRows(outcomes: ReadonlyMap<JobCandidate, Outcome>, { offers }: Reservation): ClaimedRow[] {
  if (offers.length === 0) return [];
  const offerOf = new Map(offers.map((offer) => [offer.jobId, offer]));
  return [...outcomes].flatMap(([{ row }, outcome]) => {
    const offer = offerOf.get(row.id);
    return offer === undefined ? [] : claimedRow(outcome, offer);
  });
}

function isClaimableAtOnce({ row: { runAt, delayMs, orderKey, concurrencyKey, relations } }: JobCandidate): boolean {
  return (
    runAt === undefined &&
    delayMs === undefined &&
    orderKey === undefined &&
    concurrencyKey === undefined &&
    relations === undefined
  );
}

function claimedRow(outcome: Outcome, { leaseMs }: Offer): ClaimedRow[] {
  if (outcome instanceof BatonError || outcome.inserted === null || outcome.inserted.lease === null) return [];
  return [handedRow(outcome.created.job, outcome.inserted.lease, leaseMs)];
}
