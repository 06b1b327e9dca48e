import { z } from 'zod';
import { cleanedPayload } from './payload';
import { cleanedText, listOf, page, timestamp } from './primitives';

export const logLevel = z.enum(['debug', 'info', 'warn', 'error']);
export type LogLevel = z.infer<typeof logLevel>;

/** A line as a runner sends it. `ageMs`: how long before this call it was written, on the runner's own clock. */
export const sentLogLine = z.object({
  level: logLevel.catch('info'),
  message: cleanedText(8000),
  fields: cleanedPayload.optional(),
  ageMs: z.number().min(0).max(86_400_000).catch(0).default(0),
});
export type SentLogLine = z.input<typeof sentLogLine>;
export type LogLine = z.infer<typeof sentLogLine>;
export const sentLogLines = z.array(sentLogLine).max(1000);

/** A line as it is read. */
export const logLine = z.object({
  seq: z.int(),
  at: timestamp,
  level: logLevel,
  message: z.string(),
  fields: z.unknown(),
  attempt: z.int(),
});
export const logList = listOf(logLine);
export const listLogsQuery = z.strictObject({
  /** Only lines after this `seq`. */
  after: z.coerce.number().int().min(0).optional(),
  /** Only lines of at least this level. */
  level: logLevel.optional(),
  ...page,
});
