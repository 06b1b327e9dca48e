import { z } from 'zod';
import { role } from './api-keys';
import { text, timestamp } from './primitives';

export const openSession = z.strictObject({ apiKey: text(200).describe('The API key to sign in with.') });

/** Who the caller is; `expiresAt` is when a browser's session ends, null for other callers. */
export const session = z.object({
  keyId: z.string().describe("Id of the caller's API key, or subject of the token."),
  name: z.string().describe("Name of the caller's key."),
  role: role.describe('What the caller may do.'),
  userId: z.string().nullable().describe('The user that the caller acts for; null: none.'),
  expiresAt: timestamp.nullable().describe('When the browser session ends; null: the caller sent a key or token.'),
});
export type Session = z.infer<typeof session>;
