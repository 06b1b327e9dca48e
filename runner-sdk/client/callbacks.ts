import { assertStrict, PAGE_FIELDS, type Page } from './filters';
import type { Send } from '../transport/transport';
import type { CallbackSecret, Delivery, DeliveryStatus } from '../protocol';
import type { DeliveryPage } from './webhooks';

export class Callbacks {
  constructor(private readonly send: Send) {}

  /** The secret that signs the callbacks of jobs created by this key. */
  secret(): Promise<CallbackSecret> {
    return this.send({ method: 'GET', path: '/callback-secret' });
  }

  /** Replaces the secret; callbacks are also signed with the old one for `graceMs` (default one day). */
  rotateSecret(options: { graceMs?: number | undefined } = {}): Promise<CallbackSecret> {
    return this.send({ method: 'POST', path: '/callback-secret/rotate', body: options, repeatable: false });
  }

  /** One page of the deliveries of a job's callback, newest first. */
  async deliveries(
    jobId: string,
    filter: { status?: DeliveryStatus | DeliveryStatus[] } & Page = {},
  ): Promise<DeliveryPage> {
    assertStrict('callbacks.deliveries', filter, PAGE_FIELDS);
    return this.send({ method: 'GET', path: callbackPath(jobId), query: filter });
  }

  /** Sends a job's callback again. */
  resend(jobId: string): Promise<Delivery> {
    return this.send({ method: 'POST', path: `${callbackPath(jobId)}/resend` });
  }
}

function callbackPath(jobId: string): string {
  return `/jobs/${encodeURIComponent(jobId)}/callbacks`;
}
