import { type Executor, type Sql, sql } from '../db';
import { DELIVERY_COLUMNS, type DeliveryRow } from '../webhook-deliveries';
import { type Counted, withinBytes } from './within-bytes';

/**
 * Deliveries of a webhook, or callbacks of a job. Newest first; `before` is the id of the last row of the previous
 * page.
 */
export function page(
  db: Executor,
  of: { webhookId: string } | { jobId: string },
  status: string[] | null,
  before: string | null,
  limit: number,
): Promise<(DeliveryRow & Counted)[]> {
  const whose: Sql =
    'webhookId' in of
      ? sql`d.webhook_id = ${of.webhookId}::uuid`
      : sql`d.job_id = ${of.jobId}::uuid AND d.webhook_id IS NULL`;
  const chosen = sql`
    SELECT ${DELIVERY_COLUMNS}, 600 + octet_length(d.data::text) AS bytes FROM webhook_deliveries d
    LEFT JOIN webhooks w ON w.id = d.webhook_id
    WHERE ${whose} AND (${before}::uuid IS NULL OR d.id < ${before}::uuid)
      AND (${status}::text[] IS NULL OR d.status::text = ANY (${status}::text[]))
    ORDER BY d.id DESC LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.id DESC`));
}
