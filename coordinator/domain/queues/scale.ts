export interface Load {
  waiting: number;
  running: number;
  inPerMinute: number;
  /** Null: unknown; one second is assumed. */
  meanRunMs: number | null;
}

/**
 * Number of runners needed to start all waiting jobs within `targetMs`, and to keep up with new ones (Little's law:
 * jobs in work = arrivals × time in work). Never fewer than the running jobs need, and 0 only when there is nothing to
 * do.
 */
export function wantedRunners(
  { waiting, running, inPerMinute, meanRunMs }: Load,
  { targetMs, perRunner }: { targetMs: number; perRunner: number },
): number {
  if (waiting === 0 && running === 0) return 0;
  const runMs = meanRunMs ?? 1000;
  const forBacklog = (waiting * runMs) / (targetMs + runMs);
  const forArrivals = (inPerMinute * runMs) / 60_000;
  const slots = Math.min(waiting + running, Math.max(forBacklog + running, forArrivals));
  return Math.max(1, Math.ceil(slots / perRunner));
}
