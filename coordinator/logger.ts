import { createLogger, format, transports, type Logger as WinstonLogger } from 'winston';

export type Logger = Pick<WinstonLogger, 'error' | 'warn' | 'info' | 'debug' | 'isDebugEnabled'>;

/** JSON lines on stdout. Arguments, results, keys and lease tokens are never handed to it. */
export function createJsonLogger(level: string): Logger {
  const logger = createLogger({
    level,
    format: format.combine(format.timestamp(), format.errors({ stack: true }), format.json()),
    transports: [new transports.Console()],
  });
  // Every move of a job is a line of level debug, and winston formats a line before it drops it.
  if (!logger.isDebugEnabled()) logger.debug = () => logger;
  return logger;
}

/** The parts of an error that belong in a log line. */
export function describeError(error: unknown): { error: string; code?: string; stack?: string } {
  if (!(error instanceof Error)) return { error: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return {
    error: error.message,
    ...(code === undefined ? {} : { code }),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}
