import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/job-types/schemas';
import type { Caller } from '../auth/caller';

/** A type and all schemas that are known of it. */
export interface KnownType extends store.TypeRow {
  schemas: store.SchemaRow[];
}

/** Types that the caller's key covers, by name; one more than `limit` when there are more. */
export async function listTypes(
  { db, runnerRegistry }: Context,
  { types: only }: Caller,
  page: { after: string | null; limit: number },
): Promise<KnownType[]> {
  await runnerRegistry.writeSeen();
  const rows = await store.listTypes(db, { only, after: page.after, limit: page.limit + 1 });
  const schemas = await store.schemasOf(
    db,
    rows.map(({ type }) => type),
  );
  return rows.map((row) => ({ ...row, schemas: schemas.filter(({ type }) => type === row.type) }));
}

/** @throws {BatonError} `not_found` when no runner serves the type, and nothing was published of it */
export async function getType({ db, runnerRegistry }: Context, { types }: Caller, type: string): Promise<KnownType> {
  await runnerRegistry.writeSeen();
  if (types === null || types.includes(type)) {
    const [schemas, runners] = await Promise.all([store.schemasOf(db, [type]), store.countServing(db, type)]);
    if (schemas.length > 0 || runners > 0) return { type, runners, schemas };
  }
  throw new BatonError('not_found', `No runner serves jobs of type ${type}, and none has published schemas of it.`);
}
