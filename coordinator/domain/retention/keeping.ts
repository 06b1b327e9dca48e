import type { Keep } from '../../store/jobs';
import type { QueueRow } from '../../store/queues';

export type Ending = Keep['status'];

/** How long jobs are kept after they ended, in milliseconds. */
export type KeepMs = Record<Ending, number>;

export const ENDINGS: readonly Ending[] = ['completed', 'failed', 'cancelled'];

/** What of each queue may go: as it is set for the queue, else as by default. */
export function keepsOf(queues: string[], settings: Map<string, QueueRow>, defaults: KeepMs): Keep[] {
  return queues.flatMap((queue) => {
    const row = settings.get(queue);
    const own: Record<Ending, number | null | undefined> = {
      completed: row?.keepCompletedMs,
      failed: row?.keepFailedMs,
      cancelled: row?.keepCancelledMs,
    };
    return ENDINGS.map((status) => ({ queue, status, keepMs: own[status] ?? defaults[status] }));
  });
}
