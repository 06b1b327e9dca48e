import { type PolicySettings, type Resolve, urlFault, type UrlPolicy } from '@baton/url-policy';

export interface WebhookSettings {
  /** Which URLs may be called. */
  urlPolicy: UrlPolicy;
  /** How long one attempt may take. */
  timeoutMs: number;
  /** A webhook whose deliveries have failed for this long is disabled. */
  disableAfterMs: number;
  /** How long deliveries are kept after they ended. */
  keepMs: number;
  /** Most webhooks of one user, and of the installation. */
  mostPerOwner: number;
  /** How names are resolved; undefined: by DNS. */
  resolve?: Resolve | undefined;
}

const POLICY_SETTINGS: PolicySettings = {
  allow: 'BATON_WEBHOOK_ALLOW',
  http: 'BATON_WEBHOOK_HTTP',
  ports: 'BATON_WEBHOOK_PORTS',
};

/**
 * What is wrong with the URL of a webhook or callback, as far as can be told without resolving its name; null: nothing.
 */
export function receiverFault(url: string, policy: UrlPolicy): string | null {
  return urlFault(url, policy, POLICY_SETTINGS);
}
