import type { RunnerView } from '@baton/runner-sdk/protocol';
import type { RunnerRow } from '../../store/views/runners';
import { time } from './time';

export function renderRunner(row: RunnerRow): RunnerView {
  return {
    id: row.id,
    types: row.types,
    queues: row.queues.length === 0 ? null : row.queues,
    labels: row.labels,
    version: row.version,
    protocol: row.protocol,
    running: row.running,
    status: row.isStopped ? 'stopped' : row.isLost ? 'lost' : row.drainingSince === null ? 'active' : 'draining',
    firstSeenAt: row.firstSeenAt.toISOString(),
    lastSeenAt: row.lastSeenAt.toISOString(),
    drainingSince: time(row.drainingSince),
  };
}
