import type { Json } from '../protocol';
import type { TimedLine } from './log-buffer';
import type { StoredCheckpoint } from './stored-checkpoint';

/** What a handler passes to its runner while it works. */
export type HandlerOutput =
  | { kind: 'progress'; percent: number; message?: string }
  | { kind: 'checkpoint'; value: Json; stored: StoredCheckpoint }
  /** The handler awaits a checkpoint. */
  | { kind: 'urgent' }
  | { kind: 'metric'; name: string; value: number }
  | { kind: 'log'; line: TimedLine };
