import type { LogBuffer, TimedLine } from './log-buffer';
import type { Json } from '../protocol';

/** Updates of a handler since the last ones were taken; the latest progress and checkpoint replace earlier ones. */
export interface JobUpdate {
  progress?: { percent: number; message?: string };
  checkpoint?: Json;
  logs?: TimedLine[];
  /** The number of the checkpoint above; counts the checkpoints of the lease. */
  checkpointId?: number;
  /** The handler awaits the storing of the checkpoint. */
  isUrgent?: boolean;
}

/** Updates of one attempt that are not sent yet. */
export interface PendingUpdates {
  progress?: JobUpdate['progress'];
  checkpoint?: Json;
  checkpointId?: number | undefined;
  logs: LogBuffer;
}

/** Takes all updates out, to be sent. */
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

/** Puts back updates that did not arrive, unless there are newer ones. */
export function restoreUpdate(held: PendingUpdates, update: JobUpdate): void {
  if (held.progress === undefined && update.progress !== undefined) held.progress = update.progress;
  if (held.checkpoint === undefined && update.checkpoint !== undefined) {
    held.checkpoint = update.checkpoint;
    held.checkpointId = update.checkpointId;
  }
  held.logs.putBack(update.logs ?? []);
}
