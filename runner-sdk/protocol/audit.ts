import { z } from 'zod';
import { listOf, page, repeatable, text, timestamp } from './primitives';

/** Everything that is written down with who did it. */
export const auditAction = z.enum([
  'key.created',
  'key.rotated',
  'key.revoked',
  'session.opened',
  'session.closed',
  'login.failed',
  'job.cancelled',
  'job.retried',
  'job.edited',
  'job.deleted',
  'jobs.cancelled',
  'jobs.retried',
  'jobs.prioritised',
  'jobs.deleted',
  'bulk.requested',
  'queue.set',
  'queue.paused',
  'queue.resumed',
  'runner.drained',
  'runner.resumed',
  'alert.created',
  'alert.edited',
  'alert.deleted',
  'alert.tested',
  'webhook.created',
  'webhook.edited',
  'webhook.deleted',
  'webhook.secret_rotated',
  'webhook.tested',
  'webhook.disabled',
  'delivery.resent',
  'callback_secret.rotated',
]);
export type AuditAction = z.infer<typeof auditAction>;

export const auditEntry = z.object({
  id: z.string(),
  at: timestamp,
  action: auditAction,
  /** The id or name of the one thing it was done to; null: to several, which `details` tells. */
  target: z.string().nullable(),
  by: z.object({
    keyId: z.string(),
    name: z.string(),
    role: z.string(),
    userId: z.string().nullable(),
    address: z.string(),
  }),
  requestId: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type AuditEntry = z.infer<typeof auditEntry>;
export const auditList = listOf(auditEntry);

export const listAuditQuery = z.strictObject({
  ...page,
  action: repeatable(auditAction).optional(),
  target: text(200).optional(),
  keyId: text(200).optional(),
  userId: text(200).optional(),
  after: timestamp.optional(),
  before: timestamp.optional(),
});
