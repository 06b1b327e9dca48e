import type { Json } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

/** The settings of a coordinator that the SQL function `enqueue` uses. */
export interface CoordinatorSettings {
  maxPayloadBytes: number;
  /** Defaults of jobs: priority, maxAttempts, timeoutMs, and retry if it is not the contract's. */
  defaults: { [name: string]: Json };
}

/** When coordinators have different settings, the last one started wins. */
export async function storeSettings(db: Executor, { maxPayloadBytes, defaults }: CoordinatorSettings): Promise<void> {
  await db.query(sql`
    INSERT INTO coordinator_settings AS s (id, max_payload_bytes, defaults)
    VALUES (1, ${maxPayloadBytes}::int, ${JSON.stringify(defaults)}::json)
    ON CONFLICT (id) DO UPDATE SET max_payload_bytes = EXCLUDED.max_payload_bytes, defaults = EXCLUDED.defaults
    WHERE (s.max_payload_bytes, s.defaults::text) IS DISTINCT FROM (EXCLUDED.max_payload_bytes,
      EXCLUDED.defaults::text)`);
}
