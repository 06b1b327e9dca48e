import { z } from 'zod';
import { role } from './api-keys';
import { durationMs, text, timestamp } from './primitives';

export const openSession = z
  .strictObject({
    apiKey: text(200).optional().describe('The API key to sign in with. Either this or `linkToken`.'),
    linkToken: text(200).optional().describe('The token of a link that signs in once. Either this or `apiKey`.'),
  })
  .superRefine(({ apiKey, linkToken }, context) => {
    if ((apiKey === undefined) !== (linkToken === undefined)) return;
    context.addIssue({ code: 'custom', path: ['apiKey'], message: 'must be given, or else linkToken; not both' });
  });

const MOST_LINK_LIFE_MS = 86_400_000;

export const createSessionLink = z.strictObject({
  expiresInMs: durationMs(1000, MOST_LINK_LIFE_MS)
    .default(900_000)
    .describe('How long the link can be used, in milliseconds, at most a day.'),
});
/** The only answer that contains the link. */
export const sessionLink = z.object({
  token: z.string().describe('The `linkToken` that `POST /session` takes, once.'),
  path: z
    .string()
    .describe(
      'Path of the dashboard with the token, below the address of the coordinator: a browser that opens it is signed in.',
    ),
  expiresAt: timestamp.describe('Until when the link can be used.'),
});
export type SessionLink = z.infer<typeof sessionLink>;

/** The caller; `expiresAt` is when a browser session ends, null for other callers. */
export const session = z.object({
  keyId: z.string().describe("Id of the caller's API key, or subject of the token."),
  name: z.string().describe("Name of the caller's key."),
  role: role.describe('What the caller may do.'),
  userId: z.string().nullable().describe('The user that the caller acts for; null: none.'),
  expiresAt: timestamp.nullable().describe('When the browser session ends; null: the caller sent a key or token.'),
});
export type Session = z.infer<typeof session>;
