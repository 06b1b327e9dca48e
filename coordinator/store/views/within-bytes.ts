import { type Sql, sql } from '../db';

/** Most bytes of a list's answer, and of its rows on their way from the database. */
export const MOST_PAGE_BYTES = 2 * 1024 * 1024;

/** What `withinBytes` adds to each row. */
export interface Counted {
  /** Number of rows within the row limit: when fewer are returned, the bytes ended the page. */
  found: number;
}

/**
 * The first rows of a page, as many as fit into its bytes, but at least one. Sizes are computed in the database, so
 * that no more rows are sent.
 * @param page a SELECT with the column `bytes`
 * @param order the sort order of the page, over its rows `p`
 */
export function withinBytes(page: Sql, order: Sql): Sql {
  return sql`
    SELECT * FROM (
      SELECT p.*, (count(*) OVER ())::int AS found,
        sum(p.bytes) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - p.bytes AS "bytesBefore"
      FROM (${page}) p
    ) p WHERE p."bytesBefore" < ${MOST_PAGE_BYTES}::float8 ORDER BY ${order}`;
}
