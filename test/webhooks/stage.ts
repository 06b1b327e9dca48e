import type { CreatedWebhook, CreateWebhook, Delivery } from '@baton/runner-sdk/protocol';
import { readAllowed } from '@baton/url-policy';
import { type Api, expectStatus } from '../support/api';
import { type Cluster, type Options, startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { type Behaviour, Receiver } from '../support/receiver';

/** Coordinators that may reach this machine, and receivers on it. */
export class WebhookStage {
  private readonly receivers: Receiver[] = [];

  private constructor(readonly cluster: Cluster) {}

  static async open(count = 1, webhooks: Options['webhooks'] = {}): Promise<WebhookStage> {
    const urlPolicy = { ...readAllowed(['127.0.0.0/8']), isHttpAllowed: false, ports: [443] };
    return new WebhookStage(await startCluster(count, { webhooks: { urlPolicy, ...webhooks } }));
  }

  get one(): TestCoordinator {
    const [one] = this.cluster.coordinators;
    if (one === undefined) throw new Error('no coordinator was started');
    return one;
  }

  get api(): Api {
    return this.one.api;
  }

  async receiver(behaviour?: Behaviour): Promise<Receiver> {
    const receiver = await Receiver.open(behaviour);
    this.receivers.push(receiver);
    return receiver;
  }

  async webhook(receiver: Receiver, wanted: Partial<CreateWebhook> = {}, api = this.api): Promise<CreatedWebhook> {
    return expectStatus(
      await api.post<CreatedWebhook>('/webhooks', {
        url: receiver.url(),
        events: ['job.completed', 'job.failed', 'job.cancelled'],
        ...wanted,
      }),
      201,
    );
  }

  async deliveries(webhookId: string, query = ''): Promise<Delivery[]> {
    return expectStatus(
      await this.api.get<{ items: Delivery[] }>(`/webhooks/${webhookId}/deliveries?limit=500${query}`),
      200,
    ).items;
  }

  /** The deliveries of a webhook, once all are as wanted. */
  async delivered(webhookId: string, isWanted: (all: Delivery[]) => boolean, deadlineMs?: number): Promise<Delivery[]> {
    return eventually(() => this.deliveries(webhookId), isWanted, deadlineMs);
  }

  /** All waits are over, though no time passed. */
  async makeDue(): Promise<void> {
    await this.cluster.sql.query(
      "UPDATE webhook_deliveries SET next_at = now() - interval '1 ms' WHERE status = 'pending'",
    );
    await this.one.app.loops.deliveries.runOnce();
  }

  async closeReceivers(): Promise<void> {
    await Promise.all(this.receivers.splice(0).map((receiver) => receiver.close()));
  }

  async close(): Promise<void> {
    await this.closeReceivers();
    await this.cluster.stop();
  }
}
