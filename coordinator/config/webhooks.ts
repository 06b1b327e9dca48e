import { readAllowed } from '@baton/url-policy';
import { z } from 'zod';
import type { WebhookSettings } from '../domain/webhooks/settings';

const DAY_MS = 86_400_000;
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

function wholeNumber(fallback: number, min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error }).default(fallback);
}

const allowed = list.superRefine((parts, context) => {
  try {
    readAllowed(parts);
  } catch (error) {
    context.addIssue({
      code: 'custom',
      message: `must be host names, addresses and networks separated by commas; ${error instanceof Error ? error.message : String(error)}`,
    });
  }
});

const ports = list
  .refine(
    (parts) =>
      parts.length > 0 && parts.every((part) => /^\d{1,5}$/.test(part) && Number(part) >= 1 && Number(part) <= 65_535),
    'must be ports from 1 to 65535, separated by commas',
  )
  .transform((parts) => parts.map(Number));

/** Settings of webhooks and callbacks. */
export const webhookSettings = {
  BATON_WEBHOOK_ALLOW: allowed
    .optional()
    .describe(
      'Host names, addresses and networks, separated by commas, that webhooks and callbacks may reach though they are not public, such as hooks.internal or 10.0.0.0/8. What is named here may also be reached by http and on any port. Default: none.',
    ),
  BATON_WEBHOOK_HTTP: z
    .enum(['true', 'false'])
    .default('false')
    .describe(
      'Whether webhooks and callbacks may go to public hosts by http. Their signature then still proves where they come from, but others may read them.',
    ),
  BATON_WEBHOOK_PORTS: ports
    .prefault('443,80,8443,8080')
    .describe('The ports of public hosts that webhooks and callbacks may reach, separated by commas.'),
  BATON_WEBHOOK_TIMEOUT_MS: wholeNumber(15_000, 100, 60_000).describe('How long one attempt to deliver may take.'),
  BATON_WEBHOOK_DISABLE_AFTER_MS: wholeNumber(5 * DAY_MS, 60_000, 365 * DAY_MS).describe(
    'A webhook to which nothing could be delivered for so long is disabled.',
  ),
  BATON_WEBHOOK_KEEP_MS: wholeNumber(7 * DAY_MS, 60_000, 365 * DAY_MS).describe(
    'How long deliveries are kept after they ended, to be listed and sent again.',
  ),
  BATON_MAX_WEBHOOKS: wholeNumber(50, 1, 10_000).describe(
    "The most webhooks that one user may have; and that may be nobody's.",
  ),
};

export function readWebhooks(read: z.infer<z.ZodObject<typeof webhookSettings>>): WebhookSettings {
  const { hosts, networks } = readAllowed(read.BATON_WEBHOOK_ALLOW ?? []);
  return {
    urlPolicy: { hosts, networks, isHttpAllowed: read.BATON_WEBHOOK_HTTP === 'true', ports: read.BATON_WEBHOOK_PORTS },
    timeoutMs: read.BATON_WEBHOOK_TIMEOUT_MS,
    disableAfterMs: read.BATON_WEBHOOK_DISABLE_AFTER_MS,
    keepMs: read.BATON_WEBHOOK_KEEP_MS,
    mostPerOwner: read.BATON_MAX_WEBHOOKS,
  };
}
