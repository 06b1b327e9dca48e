import { BatonError } from '../../errors';
import type { NewTick } from '../../store/schedules/ticks';
import type { LockedSchedule } from '../../store/schedules/rows';
import type { Created } from '../jobs/candidates/job-candidate';
import type { Decision } from './decide';

/** The outcome of a tick in the history. */
export type TickResult = Pick<NewTick, 'outcome' | 'jobId' | 'reason' | 'message'>;

/** @param outcome of the create; undefined: no job was to be created, or nothing was tried */
export function resultOf(
  { keyFault, keyId }: Pick<LockedSchedule, 'keyFault' | 'keyId'>,
  { does, reason, message }: Pick<Decision, 'does' | 'reason' | 'message'>,
  outcome: Created | BatonError | undefined,
): TickResult {
  if (does !== 'create') return { outcome: does === 'buffer' ? 'buffered' : 'skipped', jobId: null, reason, message };
  if (keyFault !== null)
    return { outcome: 'refused', jobId: null, reason: keyFault, message: keyFaultText(keyFault, keyId) };
  if (outcome === undefined) throw new Error('a tick was to create a job, and nothing came of it');
  if (outcome instanceof BatonError)
    return { outcome: 'refused', jobId: null, reason: outcome.code, message: outcome.message };
  if (outcome.as === 'created') return { outcome: 'created', jobId: outcome.job.id, reason: null, message: null };
  const words = `The job ${outcome.job.id} holds the unique key.`;
  return { outcome: 'skipped', jobId: null, reason: 'deduplicated', message: words };
}

export function keyFaultText(fault: NonNullable<LockedSchedule['keyFault']>, keyId: string): string {
  const what = fault === 'key_revoked' ? 'was revoked' : 'has expired';
  return `The key ${keyId}, in whose name the schedule creates jobs, ${what}. Set the schedule's job again with another key.`;
}
