import type { Keep } from '../../store/jobs';
import type { QueueRow } from '../../store/queues';

export type Ending = Keep['status'];

/** How long jobs are kept after their end, in milliseconds. */
export type KeepMs = Record<Ending, number>;

export const ENDINGS: readonly Ending[] = ['completed', 'failed', 'cancelled'];

/** What may be deleted from each queue: by the queue's settings, else by the defaults. */
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
