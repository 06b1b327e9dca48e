import type { LogBuffer, TimedLine } from './log-buffer';
import type { Json } from '../protocol';

/** What a handler has said since it was last asked; the latest progress and checkpoint stand for all before them. */
export interface JobUpdate {
  progress?: { percent: number; message?: string };
  checkpoint?: Json;
  logs?: TimedLine[];
  /** Counts the checkpoints of the lease; of the one above. */
  checkpointId?: number;
  /** Somebody waits for the checkpoint to be stored. */
  isUrgent?: boolean;
}

/** What was said of one attempt and is not sent yet. */
export interface PendingUpdates {
  progress?: JobUpdate['progress'];
  checkpoint?: Json;
  checkpointId?: number | undefined;
  logs: LogBuffer;
}

/** Takes all of it out, to be sent. */
export function takeUpdate(held: PendingUpdates): JobUpdate {
  const update: JobUpdate = {};
  if (held.progress !== undefined) update.progress = held.progress;
  if (held.checkpoint !== undefined) update.checkpoint = held.checkpoint;
  if (!held.logs.isEmpty) update.logs = held.logs.takeAll();
  if (held.checkpointId !== undefined) update.checkpointId = held.checkpointId;
  delete held.checkpointId;
  delete held.progress;
  delete held.checkpoint;
  return update;
}

/** Puts back what did not arrive, unless it was said anew. */
export function restoreUpdate(held: PendingUpdates, update: JobUpdate): void {
  if (held.progress === undefined && update.progress !== undefined) held.progress = update.progress;
  if (held.checkpoint === undefined && update.checkpoint !== undefined) {
    held.checkpoint = update.checkpoint;
    held.checkpointId = update.checkpointId;
  }
  held.logs.putBack(update.logs ?? []);
}
