import { AsyncScope } from './attempt-scope';
import { loggable } from '../transport/json';
import type { LogLevel } from '../protocol';

/**
 * Receives the SDK's own log messages. About jobs they contain ids, types and the errors of failed attempts, never
 * arguments, results, keys or lease tokens.
 */
export type Logger = Record<LogLevel, (message: string, fields?: Record<string, unknown>) => void>;

/** The lowest level that is logged; `silent`: none. */
export type LogThreshold = LogLevel | 'silent';

const WEIGHTS: Record<LogThreshold, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** One JSON line on stderr for each message of level info and above. */
export const stderrLogger: Logger = withThreshold(loggerOf(write), 'info');

/** One JSON line on stderr for each message of this level and above. */
export function stderrLoggerFrom(threshold: LogThreshold): Logger {
  return withThreshold(loggerOf(write), threshold);
}

/** The logger without the levels below `threshold`. */
export function withThreshold(logger: Logger, threshold: LogThreshold): Logger {
  return loggerOf((level, message, fields) =>
    WEIGHTS[level] >= WEIGHTS[threshold] ? logger[level](message, fields) : undefined,
  );
}

/**
 * The logger with `fields` on every line. It is called in a separate async context, since the current one may be a
 * job's. What it throws, or rejects with, is dropped, since no log line is worth a job.
 */
export function withFields(logger: Logger, fields: Record<string, unknown>): Logger {
  return loggerOf((level, message, more) => {
    try {
      return new AsyncScope().run(() => logger[level](message, { ...fields, ...more }));
    } catch {
      // There is nowhere left to report it.
      return undefined;
    }
  });
}

function loggerOf(log: (level: LogLevel, message: string, fields?: Record<string, unknown>) => unknown): Logger {
  const entries = LEVELS.map((level) => [
    level,
    (message: string, fields?: Record<string, unknown>) => {
      const written = log(level, message, fields);
      void Promise.resolve(written).catch(() => undefined);
    },
  ]);
  return Object.fromEntries(entries) as Logger;
}

function write(level: LogLevel, message: string, fields: Record<string, unknown> = {}): void {
  const described = loggable(fields);
  const line = { at: new Date().toISOString(), level, message, ...(typeof described === 'object' && described) };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}
