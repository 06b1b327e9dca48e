import { type Sql, sql } from '../db';

/** A list's answer takes so much, and its rows no more on their way from the database. */
export const MOST_PAGE_BYTES = 2 * 1024 * 1024;

/** What a statement of `withinBytes` adds to each row. */
export interface Counted {
  /** How many rows there were within the limit of their number: more than came means that the bytes ended the page. */
  found: number;
}

/**
 * The first rows of a page, as many as fit into its bytes, but one at least. What they take is reckoned where they are
 * stored, so that no more is sent.
 * @param page a SELECT with the column `bytes`
 * @param order what the page is sorted by, over its rows `p`
 */
export function withinBytes(page: Sql, order: Sql): Sql {
  return sql`
    SELECT * FROM (
      SELECT p.*, (count(*) OVER ())::int AS found,
        sum(p.bytes) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) - p.bytes AS "bytesBefore"
      FROM (${page}) p
    ) p WHERE p."bytesBefore" < ${MOST_PAGE_BYTES}::float8 ORDER BY ${order}`;
}
