import { z } from 'zod';
import { durationMs, listOf, name, page, text, timestamp } from './primitives';

export const role = z.enum(['admin', 'producer', 'user', 'runner', 'viewer']);
export type Role = z.infer<typeof role>;

export const createApiKey = z
  .strictObject({
    name: text(200),
    role,
    /** Needed by, and only by, a key of role `user`. */
    userId: text(200).optional(),
    /** Queues and types a `runner` key may claim; default all. */
    queues: z.array(name).max(200).optional(),
    types: z.array(name).max(200).optional(),
    expiresAt: timestamp.optional(),
  })
  .superRefine((key, context) => {
    if ((key.role === 'user') !== (key.userId !== undefined)) {
      context.addIssue({ code: 'custom', path: ['userId'], message: 'must be given for role user, and for no other' });
    }
    if (key.role !== 'runner' && (key.queues !== undefined || key.types !== undefined)) {
      context.addIssue({
        code: 'custom',
        path: ['queues'],
        message: 'queues and types limit keys of role runner only',
      });
    }
  });
export type CreateApiKey = z.input<typeof createApiKey>;
export type NewApiKey = z.infer<typeof createApiKey>;

export const apiKey = z.object({
  id: z.string(),
  name: z.string(),
  role,
  userId: z.string().nullable(),
  queues: z.array(z.string()),
  types: z.array(z.string()),
  createdAt: timestamp,
  expiresAt: timestamp.nullable(),
  lastUsedAt: timestamp.nullable(),
  revokedAt: timestamp.nullable(),
  /** The key that this one follows. */
  rotatedFrom: z.string().nullable(),
});
export type ApiKey = z.infer<typeof apiKey>;
export const apiKeyList = listOf(apiKey);
export const listApiKeysQuery = z.strictObject({ ...page });
export const rotateApiKey = z.strictObject({
  /** How long the old key works beside the new one; 0: not at all. */
  graceMs: durationMs(0, 90 * 86_400_000).default(86_400_000),
});
/** The only answer that holds the key itself. */
export const createdApiKey = apiKey.extend({ key: z.string() });
export type CreatedApiKey = z.infer<typeof createdApiKey>;
