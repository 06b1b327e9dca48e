import { z } from 'zod';
import { cleanedPayload } from './payload';
import { cleanedText, cleanText, listOf, page, timestamp } from './primitives';

export const logLevel = z.enum(['debug', 'info', 'warn', 'error']);
export type LogLevel = z.infer<typeof logLevel>;

/** Limits on the log lines of one call; the rest is dropped, and the drop is marked. */
export const LOG_LIMITS = { lines: 1000, messageCharacters: 8000, fieldsCharacters: 16_000 } as const;

/** A line as a runner sends it. `ageMs`: how long before this call it was written, by the runner's clock. */
export const sentLogLine = z.object({
  level: logLevel.catch('info').describe('Severity of the line.'),
  message: cleanedText(LOG_LIMITS.messageCharacters).describe('The text of the line.'),
  fields: cleanedPayload(LOG_LIMITS.fieldsCharacters)
    .optional()
    .describe('Structured data of the line, any JSON value.'),
  ageMs: z
    .number()
    .min(0)
    .max(86_400_000)
    .catch(0)
    .default(0)
    .describe("How long before this call the line was written, by the runner's clock, in milliseconds."),
});
export type SentLogLine = z.input<typeof sentLogLine>;
export type LogLine = z.infer<typeof sentLogLine>;

/**
 * Log lines never fail their call: of a list that is too long the first and the last lines are kept, with a line in
 * between that says how many were dropped; a value that is not a line becomes the text of one.
 */
export const sentLogLines = z
  .array(sentLogLine.catch(({ value }) => lineOf(value)))
  .max(LOG_LIMITS.lines)
  .catch(({ value }) => linesOf(value));

function lineOf(value: unknown): LogLine {
  return { level: 'info', message: cleanText(value, LOG_LIMITS.messageCharacters), ageMs: 0 };
}

function linesOf(value: unknown): LogLine[] {
  if (!Array.isArray(value)) return [lineOf(value)];
  const half = LOG_LIMITS.lines / 2;
  const dropped = value.length - LOG_LIMITS.lines + 1;
  const mark = {
    level: 'warn' as const,
    message: `${dropped} lines were dropped here: a call brings ${LOG_LIMITS.lines} at most`,
    fields: { dropped },
    ageMs: 0,
  };
  const read = (lines: unknown[]): LogLine[] => lines.map((line) => sentLogLine.safeParse(line).data ?? lineOf(line));
  return [...read(value.slice(0, half)), mark, ...read(value.slice(half + dropped))];
}

/** A line as it is read. */
export const logLine = z.object({
  seq: z.int().describe("Position of the line in the job's log; pass the last one as `after` to continue."),
  at: timestamp.describe('When the line was written.'),
  level: logLevel.describe('Severity of the line.'),
  message: z.string().describe('The text of the line.'),
  fields: z.unknown().describe('Structured data of the line; null: none.'),
  attempt: z.int().describe('Number of the attempt that wrote it.'),
});
export const logList = listOf(logLine);
export const listLogsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).optional().describe('Only lines after this `seq`.'),
  level: logLevel.optional().describe('Only lines of at least this severity.'),
  ...page,
});
