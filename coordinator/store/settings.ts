import type { Json } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

/** What a coordinator was started with, as far as the SQL function `enqueue` goes by it. */
export interface CoordinatorSettings {
  maxPayloadBytes: number;
  /** Of jobs that leave it out: priority, maxAttempts, timeoutMs, and retry if it is not the contract's. */
  defaults: { [name: string]: Json };
}

/** Where coordinators were started with different settings, those of the last one count. */
export async function storeSettings(db: Executor, { maxPayloadBytes, defaults }: CoordinatorSettings): Promise<void> {
  await db.query(sql`
    INSERT INTO coordinator_settings AS s (id, max_payload_bytes, defaults)
    VALUES (1, ${maxPayloadBytes}::int, ${JSON.stringify(defaults)}::json)
    ON CONFLICT (id) DO UPDATE SET max_payload_bytes = EXCLUDED.max_payload_bytes, defaults = EXCLUDED.defaults
    WHERE (s.max_payload_bytes, s.defaults::text) IS DISTINCT FROM (EXCLUDED.max_payload_bytes, EXCLUDED.defaults::text)`);
}
