import { createHash } from 'node:crypto';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { BulkOperationRow } from '../../store/bulk';
import * as views from '../../store/views/bulk';
import { type BulkRequest, resumeOperation, storeOperation } from './bulk-operation';
import { canonicalText } from '../jobs/candidates/request-hash';

/**
 * Creates new jobs like all matching finished jobs, in the background. The same request under the same key is the same
 * operation, so that it can be repeated without creating anything twice; a failed one continues from where it stopped.
 */
export async function replay(context: Context, bulk: BulkRequest, key: string): Promise<BulkOperationRow> {
  const { userId, filter, parameters } = bulk;
  const id = idOf(canonicalText({ key, userId, filter, parameters, by: key === '' ? bulk.by?.keyId : undefined }));
  const find = (): Promise<BulkOperationRow | null> => views.get(context.db, userId, id);
  const operation = (await find()) ?? (await storeOperation(context, bulk, id)) ?? (await find());
  if (operation === null)
    throw new BatonError('unavailable', 'The same operation is being stored by another call.', { retryAfterMs: 1000 });
  if (operation.endedAs !== 'failed') return operation;
  return (await resumeOperation(context, bulk.by, id)) ?? operation;
}

/** A UUID derived from the text (version 8: custom). */
function idOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
