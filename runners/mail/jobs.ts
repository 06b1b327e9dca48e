import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const address = z.email().max(254);
const locale = z.string().regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'must be a language tag such as de or de-AT');

export const emailNotification = defineJob({
  type: 'email-notification',
  arguments: z.strictObject({
    /** Each address gets a message of its own. Without it: the address of `userId`. */
    to: z.union([address, z.array(address).min(1).max(100)]).optional(),
    /** Looked up in the runner's `MAIL_USERS`. Default: the user of the job. */
    userId: z.string().max(200).optional(),
    template: z.string().regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'must be the name of a template'),
    /** Data for the template. */
    data: z.record(z.string(), z.json()).default({}),
    /** Default: the user's, else the runner's. */
    locale: locale.optional(),
    /** Overrides the template's subject. */
    subject: z.string().min(1).max(500).optional(),
    replyTo: address.optional(),
    /** Files of the runner's storage. */
    attachments: z
      .array(
        z.strictObject({
          url: z.string(),
          filename: z
            .string()
            .regex(/^[^\r\n/\\]{1,200}$/)
            .optional(),
          contentType: z
            .string()
            .regex(/^[\w.+-]+\/[\w.+-]+$/)
            .optional(),
        }),
      )
      .max(20)
      .default([]),
  }),
  result: z.object({
    sent: z.array(z.object({ to: z.string(), messageId: z.string(), response: z.string() })),
    /** Addresses that the server refused for good; the job fails when there is no other. */
    refused: z.array(z.object({ to: z.string(), response: z.string() })),
  }),
  queue: 'mail',
  timeoutMs: 300_000,
});
export type MailArguments = z.output<NonNullable<(typeof emailNotification)['arguments']>>;
export type MailResult = z.output<NonNullable<(typeof emailNotification)['result']>>;

/**
 * The domain of an address, as `concurrencyKey`: with `keyRateLimit` of the queue it limits how many mails are sent to
 * one domain in a time, with `concurrencyPerKey` how many at a time, on all hosts together.
 */
export function domainOf(to: string): string {
  return to.slice(to.lastIndexOf('@') + 1).toLowerCase();
}
