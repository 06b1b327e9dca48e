import type { ApiKeyRow } from '../api-keys';
import type { Db } from '../db';

/** In the order of ids; `after` is the id of the last row of the previous page. */
export function page(db: Db, after: string | null, limit: number): Promise<ApiKeyRow[]> {
  return db.prisma.apiKey.findMany({
    orderBy: { id: 'asc' },
    take: limit,
    ...(after === null ? {} : { where: { id: { gt: after } } }),
  });
}
