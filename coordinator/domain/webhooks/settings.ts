import type { Resolve } from './connection';
import type { Reach } from './reach';

export interface WebhookSettings {
  reach: Reach;
  /** How long one attempt may take. */
  timeoutMs: number;
  /** A webhook to which nothing could be delivered for so long is disabled. */
  disableAfterMs: number;
  /** How long deliveries are kept after they ended. */
  keepMs: number;
  /** The most webhooks of one user; and of the installation. */
  mostPerOwner: number;
  /** How names are resolved; undefined: by DNS. */
  resolve?: Resolve | undefined;
}
