import { type JobContext } from '@baton/runner-sdk';
import { z } from 'zod';

const reportedError = z.object({
  message: z.string(),
  code: z.string().optional(),
  retryable: z.boolean().default(true),
  retryAfterMs: z.number().min(0).optional(),
});

/** Messages of a program, one JSON object per line, which may have several members. */
const message = z.object({
  progress: z.number().optional(),
  message: z.string().optional(),
  log: z.string().optional(),
  level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  fields: z.record(z.string(), z.json()).optional(),
  checkpoint: z.json().optional(),
  metric: z.record(z.string(), z.number()).optional(),
  result: z.json().optional(),
  error: z.union([reportedError, z.string().transform((text) => ({ message: text, retryable: true }))]).optional(),
  snoozeMs: z.number().min(0).optional(),
});

/** Passes on a program's messages, and keeps those that count at its end. */
export class Messages {
  result: unknown;
  error: z.output<typeof reportedError> | undefined;
  snoozeMs: number | undefined;
  /** Why a checkpoint was invalid, which fails the job. */
  fault: Error | undefined;

  constructor(private readonly job: JobContext) {}

  hear(line: string): void {
    if (line.trim() === '') return;
    const read = message.safeParse(jsonOf(line));
    if (!read.success) {
      const issue = read.error.issues[0];
      const reason = issue === undefined ? '' : `${issue.path.join('.')} ${issue.message}`.trim();
      this.job.log.warn('the program sent a message that is none', { line: line.slice(0, 200), reason });
      return;
    }
    const { data } = read;
    const { progress, log, checkpoint, metric = {} } = data;
    if (progress !== undefined) this.job.progress(progress, data.message ?? null);
    if (log !== undefined) this.job.log[data.level](log, data.fields);
    for (const [name, value] of Object.entries(metric)) this.job.metric(name, value);
    if (checkpoint !== undefined) this.keep(checkpoint);
    if (data.result !== undefined) this.result = data.result;
    if (data.error !== undefined) this.error = data.error;
    if (data.snoozeMs !== undefined) this.snoozeMs = data.snoozeMs;
  }

  private keep(checkpoint: unknown): void {
    try {
      // If it cannot be stored, the lease is lost, which ends the attempt anyway.
      this.job.checkpoint(checkpoint).catch(() => undefined);
    } catch (error) {
      this.fault ??= error instanceof Error ? error : new Error(String(error));
    }
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
