import * as protocol from '@baton/runner-sdk/protocol';
import type { z } from 'zod';
import type { Caller } from '../../domain/auth/caller';
import { type Lease, requireLease } from '../../domain/workflows/require-lease';
import { BatonError } from '../../errors';
import { type Call, CLIENTS } from './endpoint';
import { invalid } from './problem';
import type { Services } from './services';

/** Roles that create workflows and batches: a runner does so in the name of a job that it runs. */
export const MAKERS = [...CLIENTS, 'runner'] as const;

export const LEASE_HEADERS = {
  'Baton-Job': 'Id of a running job, in whose name the call is made; with `Baton-Lease`. A runner must send both.',
  'Baton-Lease': "The lease token from the claim of that job. What is created belongs to the job's user.",
};

export interface Maker {
  caller: Caller;
  /** The job that the call is made for; null: the caller makes it for itself. */
  job: { userId: string | null } | null;
}

/** @throws {BatonError} `validation_failed` of a header, `not_found`, `lease_lost` */
export async function makerOf(
  services: Services,
  caller: Caller,
  header: Call<unknown, unknown, unknown>['header'],
): Promise<Maker> {
  const [job, token] = [header('baton-job'), header('baton-lease')];
  if (job === undefined && token === undefined && caller.role !== 'runner') return { caller, job: null };
  const lease: Lease = {
    jobId: readHeader('Baton-Job', protocol.id, job),
    leaseToken: readHeader('Baton-Lease', protocol.leaseToken, token),
  };
  return { caller, job: { userId: await requireLease(services.context, caller, lease) } };
}

/**
 * The user that something belongs to: the one that was asked for, else that of the job.
 * @throws {BatonError} `forbidden` when a job would create something for another user than its own
 */
export function ownerIn({ job }: Maker, asked: string | undefined): string | undefined {
  if (job === null) return asked;
  if (asked !== undefined && asked !== job.userId)
    throw new BatonError('forbidden', `A job creates things for ${job.userId ?? 'no user'} only; leave userId out.`);
  return job.userId ?? undefined;
}

export function readHeader<Value>(name: string, schema: z.ZodType<Value>, sent: string | undefined): Value {
  const read = schema.safeParse(sent);
  if (!read.success) throw invalid(`header ${name}`, schema, sent, read.error);
  return read.data;
}
