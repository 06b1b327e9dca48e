import { z } from 'zod';
import { listOf, page, repeatable, text, timestamp } from './primitives';

/** Every action in the audit log. */
export const auditAction = z.enum([
  'key.created',
  'key.rotated',
  'key.revoked',
  'session.opened',
  'session.closed',
  'session.link_created',
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
  'bulk.cancelled',
  'queue.set',
  'queue.paused',
  'queue.resumed',
  'runner.drained',
  'runner.resumed',
  'alert.created',
  'alert.edited',
  'alert.deleted',
  'alert.tested',
  'schedule.created',
  'schedule.edited',
  'schedule.deleted',
  'schedule.paused',
  'schedule.resumed',
  'schedule.run',
  'schedule.backfilled',
  'batch.cancelled',
  'workflow.cancelled',
  'workflow.retried',
  'gate.opened',
  'gate.refused',
  'gate.link_created',
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
  id: z.string().describe('Id of the entry.'),
  at: timestamp.describe('When it happened.'),
  action: auditAction.describe('What was done.'),
  target: z
    .string()
    .nullable()
    .describe('Id or name of the one thing it was done to; null: several things, described in `details`.'),
  by: z
    .object({
      keyId: z.string().describe('Id of the API key, or subject of the token.'),
      name: z.string().describe('Name of the API key.'),
      role: z.string().describe('Role of the key at that time.'),
      userId: z.string().nullable().describe('The user that the key acted for; null: none.'),
      address: z.string().describe('IP address that the request came from.'),
    })
    .describe('Who did it.'),
  requestId: z.string().describe('`X-Request-Id` of the request that did it.'),
  details: z.record(z.string(), z.unknown()).describe('What else is known of it; the fields depend on `action`.'),
});
export type AuditEntry = z.infer<typeof auditEntry>;
export const auditList = listOf(auditEntry);

export const listAuditQuery = z.strictObject({
  ...page,
  action: repeatable(auditAction).optional().describe('Only entries of this action. May be repeated.'),
  target: text(200).optional().describe('Only entries about the thing with this id or name.'),
  keyId: text(200).optional().describe('Only what was done with this API key.'),
  userId: text(200).optional().describe('Only what was done for this user.'),
  after: timestamp.optional().describe('Only entries after this time.'),
  before: timestamp.optional().describe('Only entries before this time.'),
});
