import type { Logger } from '@baton/runner-sdk';

/** Parameters of every load process: the URLs of the coordinators, and which jobs are its own. */
export interface Target {
  urls: string[];
  key: string;
  databaseUrl: string;
  type: string;
}

/** The order, given as JSON in the first argument. */
export function readOrder<Order>(): Order {
  return JSON.parse(process.argv[2] ?? '{}') as Order;
}

/** Sends a message to the benchmark, as one line. */
export function tell(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Runs the load, reports the results, and ends, even if the benchmark is gone. */
export function play(load: () => Promise<object>): void {
  process.stdin.on('end', () => process.exit(1)).resume();
  process.on('SIGTERM', () => process.exit(0));
  const before = process.cpuUsage();
  const cpuMs = (): number => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  load().then(
    (found) => tell({ done: true, cpuMs: cpuMs(), ...found }),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
}

/** Logs only warnings and errors. */
export const quietLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => void process.stderr.write(`${message} ${JSON.stringify(fields ?? {})}\n`),
  error: (message, fields) => void process.stderr.write(`${message} ${JSON.stringify(fields ?? {})}\n`),
};

/**
 * Calls `work` for every number from `from` to below `to`, `inFlight` at a time. Resolves with the duration in
 * milliseconds.
 */
export async function eachInFlight(
  from: number,
  to: number,
  inFlight: number,
  work: (n: number) => Promise<unknown>,
): Promise<number> {
  const startedAt = performance.now();
  let next = from;
  const lane = async (): Promise<void> => {
    while (next < to) await work(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return performance.now() - startedAt;
}
