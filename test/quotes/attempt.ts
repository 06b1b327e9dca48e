import type { JobContext } from '@baton/runner-sdk';

export const JOB_ID = '01936f5e-7b1c-7d2a-9c3e-5f4a6b7c8d9e';

/** What a handler said and was given in one attempt. */
export interface RecordedAttempt {
  job: JobContext;
  stop: AbortController;
  progress: { percent: number; message: string | undefined }[];
  checkpoints: unknown[];
  logs: string[];
}

export interface AttemptHooks {
  lastCheckpoint?: unknown;
  /** Called after the record; what it throws breaks the handler off there, as a kill would. */
  onProgress?: (calls: number) => void;
  /** Called before the record: what it throws comes after the file was written and before the word got out. */
  onCheckpoint?: (value: unknown) => void;
}

/** One attempt without a runner, that can be broken off at any call the handler makes. */
export function startAttempt({ lastCheckpoint = null, onProgress, onCheckpoint }: AttemptHooks = {}): RecordedAttempt {
  const stop = new AbortController();
  const recorded: Omit<RecordedAttempt, 'job'> = { stop, progress: [], checkpoints: [], logs: [] };
  const log = (message: string) => void recorded.logs.push(message);
  const job: JobContext = {
    id: JOB_ID,
    type: 'BATCH_QUOTE_PROCESS',
    queue: 'default',
    attempt: 1,
    maxAttempts: 11,
    tags: [],
    metadata: null,
    userId: null,
    dependencies: {},
    lastCheckpoint,
    signal: stop.signal,
    progress: (percent, message) => {
      recorded.progress.push({ percent, message });
      onProgress?.(recorded.progress.length);
    },
    log: { debug: log, info: log, warn: log, error: log },
    checkpoint: (value) => {
      onCheckpoint?.(value);
      // As it travels, and as the next attempt gets it.
      recorded.checkpoints.push(JSON.parse(JSON.stringify(value)));
    },
    timeRemainingMs: () => 1000,
  };
  return { ...recorded, job };
}
