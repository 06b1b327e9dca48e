import { BatonError } from '../../errors';
import { MOST_PAGE_BYTES } from '../../store/views/within-bytes';
import { type Reply, replyText } from './endpoint';
import { toJson } from './json';

/**
 * The answer of a list: at most `limit` of the rows, and no more than fit into the bytes of a page. The caller reads
 * one row more than `limit`, which tells whether there are more. `found` of a row tells that rows were cut off by the
 * query.
 */
export function replyPage<Row extends object>(
  rows: Row[],
  limit: number,
  render: (row: Row) => unknown,
  keyOf: (row: Row) => string,
): Reply {
  const items: string[] = [];
  let bytes = 0;
  for (const row of rows.slice(0, limit)) {
    const text = toJson(render(row));
    bytes += text.length;
    if (items.length > 0 && bytes > MOST_PAGE_BYTES) break;
    items.push(text);
  }
  const last = rows[items.length - 1];
  const hasMore = last !== undefined && (items.length < rows.length || items.length < foundOf(last));
  const nextCursor = hasMore ? Buffer.from(keyOf(last)).toString('base64url') : null;
  return replyText(200, `{"items":[${items.join(',')}],"nextCursor":${JSON.stringify(nextCursor)}}`);
}

function foundOf(row: object): number {
  return 'found' in row && typeof row.found === 'number' ? row.found : 0;
}

/** @throws {BatonError} for a cursor that no answer of this list contained */
export function readCursor(cursor: string | undefined, isKey: (key: string) => boolean): string | null {
  if (cursor === undefined) return null;
  const key = Buffer.from(cursor, 'base64url').toString();
  if (isKey(key)) return key;
  throw new BatonError(
    'validation_failed',
    "The query field cursor: must be the nextCursor of this list's former answer.",
    {
      errors: [{ path: 'cursor', message: "must be the nextCursor of this list's former answer" }],
    },
  );
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function isUuid(key: string): boolean {
  return UUID.test(key);
}
