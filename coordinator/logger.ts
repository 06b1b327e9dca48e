import { inspect, types } from 'node:util';
import { createLogger, format, transports, type Logger as WinstonLogger } from 'winston';

export type Logger = Pick<WinstonLogger, 'error' | 'warn' | 'info' | 'debug' | 'isDebugEnabled'>;

/** JSON lines on stdout. Arguments, results, keys and lease tokens are never passed to it. */
export function createJsonLogger(level: string): Logger {
  const logger = createLogger({
    level,
    format: format.combine(format.timestamp(), format.errors({ stack: true }), format.json()),
    transports: [new transports.Console()],
  });
  // Every move of a job is a debug line, and winston formats a line before it drops it.
  if (!logger.isDebugEnabled()) logger.debug = () => logger;
  return logger;
}

/**
 * The parts of an error that belong in a log line. Errors of another realm are recognised by their properties, not by
 * their class.
 */
export function describeError(error: unknown): { error: string; code?: string; stack?: string } {
  if (!types.isNativeError(error) && !(error instanceof Error))
    return { error: typeof error === 'string' ? error : inspect(error, { depth: 2, breakLength: Infinity }) };
  const { code } = error as NodeJS.ErrnoException;
  return {
    error: messageOf(error),
    ...(['string', 'number'].includes(typeof code) ? { code: String(code) } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}

/** Node gives an AggregateError no message of its own when none of a host's addresses could be reached. */
function messageOf(error: Error): string {
  if (error.message !== '') return error.message;
  const { errors } = error as Partial<AggregateError>;
  return Array.isArray(errors) && errors.length > 0
    ? errors.map((one) => describeError(one).error).join('; ')
    : error.name;
}
