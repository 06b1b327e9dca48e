import type { LogBuffer, TimedLine } from './log-buffer';
import type { Json } from './protocol';

/** What a handler has said since it was last asked; the latest progress and checkpoint stand for all before them. */
export interface Sign {
  progress?: { percent: number; message?: string };
  checkpoint?: Json;
  logs?: TimedLine[];
  /** Counts the checkpoints of the lease; of the one above. */
  checkpointId?: number;
  /** Somebody waits for the checkpoint to be stored. */
  isUrgent?: boolean;
}

/** What was said of one attempt and is not sent yet. */
export interface Unsaid {
  progress?: Sign['progress'];
  checkpoint?: Json;
  checkpointId?: number | undefined;
  logs: LogBuffer;
}

/** Takes all of it out, to be sent. */
export function takeSign(held: Unsaid): Sign {
  const sign: Sign = {};
  if (held.progress !== undefined) sign.progress = held.progress;
  if (held.checkpoint !== undefined) sign.checkpoint = held.checkpoint;
  if (!held.logs.isEmpty) sign.logs = held.logs.takeAll();
  if (held.checkpointId !== undefined) sign.checkpointId = held.checkpointId;
  delete held.checkpointId;
  delete held.progress;
  delete held.checkpoint;
  return sign;
}

/** Puts back what did not arrive, unless it was said anew. */
export function returnSign(held: Unsaid, sign: Sign): void {
  if (held.progress === undefined && sign.progress !== undefined) held.progress = sign.progress;
  if (held.checkpoint === undefined && sign.checkpoint !== undefined) {
    held.checkpoint = sign.checkpoint;
    held.checkpointId = sign.checkpointId;
  }
  held.logs.putBack(sign.logs ?? []);
}
