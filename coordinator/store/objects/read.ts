import { type Executor, sql } from '../db';

export interface ObjectRow {
  id: string;
  userId: string | null;
  sha256: string;
  bytes: string;
}

/** Undefined: it is not there, or is being deleted. */
export async function find(db: Executor, id: string): Promise<ObjectRow | undefined> {
  const [row] = await db.query<ObjectRow>(sql`
    SELECT o.id, o.user_id AS "userId", o.sha256, o.bytes::text AS bytes FROM objects o
    WHERE o.id = ${id}::uuid AND o.deleting_at IS NULL`);
  return row;
}

/** Jobs that name the object; of many, some. */
export function jobsOf(db: Executor, id: string): Promise<{ queue: string; type: string; userId: string | null }[]> {
  return db.query(sql`
    SELECT DISTINCT j.queue, j.type, j.user_id AS "userId" FROM object_uses u JOIN jobs j ON j.id = u.job_id
    WHERE u.object_id = ${id}::uuid LIMIT 1000`);
}
