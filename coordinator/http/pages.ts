import { BatonError } from '../errors';

/** A list's answer: at most `limit` of the rows, of which one more was asked for to know whether there are more. */
export function toPage<Row, Item>(rows: Row[], limit: number, render: (row: Row) => Item, keyOf: (row: Row) => string) {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(render),
    nextCursor: rows.length > limit && last !== undefined ? Buffer.from(keyOf(last)).toString('base64url') : null,
  };
}

/** @throws {BatonError} for a cursor that no answer of this list holds. */
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
