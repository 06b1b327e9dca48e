import { z } from 'zod';
import { durationMs, listOf, name, page, text, timestamp } from './primitives';

export const role = z.enum(['admin', 'producer', 'user', 'runner', 'viewer']);
export type Role = z.infer<typeof role>;

const names = z.array(name).min(1, 'must name at least one; leave it out to allow all').max(200);

export const createApiKey = z
  .strictObject({
    name: text(200).describe('A name to recognise the key by.'),
    role: role.describe('What the key may do.'),
    userId: text(200)
      .optional()
      .describe('The user that the key acts for. Required for role `user`, not allowed for other roles.'),
    queues: names
      .optional()
      .describe('Queues that the key is limited to; default: all queues. Not allowed for role `admin`.'),
    types: names.optional().describe('Job types that the key is limited to; default: all types.'),
    expiresAt: timestamp.optional().describe('When the key stops working; default: never.'),
  })
  .superRefine((key, context) => {
    if ((key.role === 'user') !== (key.userId !== undefined)) {
      context.addIssue({ code: 'custom', path: ['userId'], message: 'must be given for role user, and for no other' });
    }
    if (key.role === 'admin' && (key.queues !== undefined || key.types !== undefined)) {
      context.addIssue({
        code: 'custom',
        path: ['queues'],
        message: 'must be left out, as must types: a key of role admin cannot be limited to queues and types',
      });
    }
  });
export type CreateApiKey = z.input<typeof createApiKey>;
export type NewApiKey = z.infer<typeof createApiKey>;

export const apiKey = z.object({
  id: z.string().describe('Id of the key. It is not secret.'),
  name: z.string().describe('Name of the key.'),
  role: role.describe('What the key may do.'),
  userId: z.string().nullable().describe('The user that a key of role `user` acts for; null for other roles.'),
  queues: z.array(z.string()).describe('Queues that the key is limited to; empty: all.'),
  types: z.array(z.string()).describe('Job types that the key is limited to; empty: all.'),
  createdAt: timestamp.describe('When the key was created.'),
  expiresAt: timestamp.nullable().describe('When the key stops working; null: never.'),
  lastUsedAt: timestamp.nullable().describe('When the key was last used; null: never.'),
  revokedAt: timestamp.nullable().describe('When the key was revoked; null: it was not.'),
  rotatedFrom: z.string().nullable().describe('Id of the key that this one replaces; null: none.'),
});
export type ApiKey = z.infer<typeof apiKey>;
export const apiKeyList = listOf(apiKey);
export const listApiKeysQuery = z.strictObject({ ...page });
export const rotateApiKey = z.strictObject({
  graceMs: durationMs(0, 90 * 86_400_000)
    .default(86_400_000)
    .describe('How long the old key keeps working beside the new one, in milliseconds; 0 ends it at once.'),
});
/** The only answer that contains the key itself. */
export const createdApiKey = apiKey.extend({
  key: z.string().describe('The key itself. It is shown only in this answer; only a hash of it is stored.'),
});
export type CreatedApiKey = z.infer<typeof createdApiKey>;
