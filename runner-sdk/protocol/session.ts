import { z } from 'zod';
import { role } from './api-keys';
import { text, timestamp } from './primitives';

export const openSession = z.strictObject({ apiKey: text(200) });

/** Who the caller is; `expiresAt` is when a browser's session ends, null for other callers. */
export const session = z.object({
  keyId: z.string(),
  name: z.string(),
  role,
  userId: z.string().nullable(),
  expiresAt: timestamp.nullable(),
});
export type Session = z.infer<typeof session>;
