import type { Attempt } from '@baton/runner-sdk/protocol';
import type { AttemptRow, LogRow } from '../../store/views/jobs';
import { time } from './time';

export function renderAttempt(row: AttemptRow): Attempt {
  return {
    attempt: row.attempt,
    runnerId: row.runnerId,
    startedAt: row.startedAt.toISOString(),
    finishedAt: time(row.finishedAt),
    outcome: row.outcome,
    error: row.error as Attempt['error'],
    metrics: row.metrics as Attempt['metrics'],
    lateResult: row.lateResult,
  };
}

export function renderLog(row: LogRow) {
  const { level, message, fields, attempt } = row;
  return { seq: Number(row.seq), at: row.at.toISOString(), level, message, fields, attempt };
}
