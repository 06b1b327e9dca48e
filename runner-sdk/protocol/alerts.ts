import { z } from 'zod';
import { durationMs, id, listOf, name, page, text, timestamp } from './primitives';

/** What a rule looks at; `failureRate` is 0 to 1, those that end in `Ms` are milliseconds, the others counts. */
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
  name: text(200),
  measure: alertMeasure,
  /** It is above when the value is greater than this. */
  threshold: z.number().min(0).max(1e15),
  /** How far back failure rate, dead letters and lost runners are counted. */
  windowMs: durationMs(10_000, HOUR_MS),
  /** For how long it must be above before it fires. */
  forMs: durationMs(0, 24 * HOUR_MS),
  queue: name.nullable(),
  type: name.nullable(),
  /** Told with the alert when it fires, and when it is well again. */
  message: text(1000).nullable(),
  recoveredMessage: text(1000).nullable(),
  enabled: z.boolean(),
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
  id,
  ...fields,
  name: z.string(),
  state: alertState,
  /** When it came into this state. */
  since: timestamp,
  /** At the last look; null: there was nothing to measure. */
  value: z.number().nullable(),
  evaluatedAt: timestamp.nullable(),
  createdAt: timestamp,
  updatedAt: timestamp,
});
export type Alert = z.infer<typeof alert>;
export const alertList = listOf(alert);
export const listAlertsQuery = z.strictObject(page);

/** What a test of a rule found, and told as `alert.firing` with `isTest`. */
export const alertTest = z.object({ value: z.number().nullable(), isAbove: z.boolean() });
