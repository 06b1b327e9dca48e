import { z } from 'zod';
import { durationMs, id, listOf, name, page, text, timestamp } from './primitives';

/** What a rule measures; `failureRate` is 0 to 1, names that end in `Ms` are milliseconds, others are counts. */
export const alertMeasure = z.enum([
  'failureRate',
  'depth',
  'oldestAgeMs',
  'deadLetters',
  'runnersLost',
  'monitorLagMs',
]);
export type AlertMeasure = z.infer<typeof alertMeasure>;
/** `pending`: above the threshold, but not yet for `forMs`. */
export const alertState = z.enum(['ok', 'pending', 'firing']);
export type AlertState = z.infer<typeof alertState>;

const HOUR_MS = 3_600_000;
const fields = {
  name: text(200).describe('Name of the rule, shown in notifications and logs.'),
  measure: alertMeasure.describe('The measurement that the rule compares with `threshold`.'),
  threshold: z
    .number()
    .min(0)
    .max(1e15)
    .describe(
      'The rule is exceeded while the measurement is greater than this. `failureRate` is a ratio from 0 to 1, measures ending in `Ms` are milliseconds, the others are counts.',
    ),
  windowMs: durationMs(10_000, HOUR_MS).describe(
    'How far back `failureRate`, `deadLetters` and `runnersLost` are measured, in milliseconds.',
  ),
  forMs: durationMs(0, 24 * HOUR_MS).describe(
    'How long the threshold must be exceeded before the alert fires, in milliseconds.',
  ),
  queue: name.nullable().describe('Measures only this queue; null: all queues.'),
  type: name.nullable().describe('Measures only jobs of this type; null: all types.'),
  message: text(1000).nullable().describe('Text sent with the notification when the alert fires; null: none.'),
  recoveredMessage: text(1000)
    .nullable()
    .describe('Text sent with the notification when the alert resolves; null: none.'),
  enabled: z.boolean().describe('Whether the rule is evaluated.'),
};

const defaults = {
  windowMs: fields.windowMs.default(300_000),
  forMs: fields.forMs.default(0),
  queue: fields.queue.default(null),
  type: fields.type.default(null),
  message: fields.message.default(null),
  recoveredMessage: fields.recoveredMessage.default(null),
  enabled: fields.enabled.default(true),
};
export const createAlert = z.strictObject({ ...fields, ...defaults });
export type NewAlert = z.infer<typeof createAlert>;
export type CreateAlert = z.input<typeof createAlert>;

/** What is left out stays as it is. */
export const editAlert = z
  .strictObject(fields)
  .partial()
  .refine((edit) => Object.keys(edit).length > 0, 'must change at least one field');
export type EditAlert = z.infer<typeof editAlert>;

export const alert = z.object({
  id: id.describe('Id of the rule (UUIDv7).'),
  ...fields,
  name: z.string().describe('Name of the rule.'),
  state: alertState.describe(
    '`ok`: below the threshold. `pending`: above it, but not yet for `forMs`. `firing`: above it for at least `forMs`.',
  ),
  since: timestamp.describe('When the rule entered its current state.'),
  value: z.number().nullable().describe('The measurement at the last evaluation; null: there was nothing to measure.'),
  evaluatedAt: timestamp.nullable().describe('When the rule was last evaluated; null: not yet.'),
  createdAt: timestamp.describe('When the rule was created.'),
  updatedAt: timestamp.describe('When the rule was last changed.'),
});
export type Alert = z.infer<typeof alert>;
export const alertList = listOf(alert);
export const listAlertsQuery = z.strictObject(page);

/** The result of testing a rule, reported as `alert.firing` with `isTest`. */
export const alertTest = z.object({
  value: z.number().nullable().describe('The current measurement; null: there is nothing to measure.'),
  isAbove: z.boolean().describe('Whether the measurement exceeds the threshold.'),
});
