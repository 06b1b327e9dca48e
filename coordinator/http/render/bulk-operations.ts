import type { BulkOperation as BulkOperationView } from '@baton/runner-sdk/protocol';
import type { BulkOperationRow } from '../../store/bulk';
import { time } from './time';

export function renderBulkOperation(row: BulkOperationRow): BulkOperationView {
  return {
    id: row.id,
    verb: row.verb,
    status: row.finishedAt === null ? 'running' : (row.endedAs ?? 'finished'),
    matched: row.matched,
    changed: row.changed,
    error: row.error,
    createdAt: row.createdAt.toISOString(),
    finishedAt: time(row.finishedAt),
  };
}
