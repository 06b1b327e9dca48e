import type { z } from 'zod';
import type { ApiRequest, Transport } from './http';
import type {
  Analytics,
  analyticsQuery,
  ApiKey,
  apiKeyList,
  bulkCount,
  BulkOperation,
  CreateApiKey,
  CreatedApiKey,
  CreateJob,
  Health,
  jobFilter,
  Queue,
  runnerList,
  RunnerView,
  Scale,
  SetQueue,
  Stats,
} from './protocol';

export type RunnerPage = z.infer<typeof runnerList>;
export type ApiKeyPage = z.infer<typeof apiKeyList>;
export type Filter = z.input<typeof jobFilter>;
export type Page = { limit?: number; cursor?: string };

/** `dryRun`: only counts the jobs that would be changed. */
export interface Bulk {
  dryRun?: boolean;
  background?: false;
}

/** Answers at once; to be watched with `bulkOperation`. */
export interface BulkInBackground {
  background: true;
}

type Counted<B extends Bulk | BulkInBackground> = Promise<B extends BulkInBackground ? BulkOperation : number>;

/** What operators ask of a coordinator: its queues, its runners, its keys, its health, and verbs for many jobs at once. */
export class Operations {
  /** Making, listing and ending keys; needs a key of role `admin`. */
  readonly apiKeys = {
    /** The answer's `key` is shown this once. Not sent again when the answer may only have been lost. */
    create: (key: CreateApiKey): Promise<CreatedApiKey> =>
      this.send({ method: 'POST', path: '/api-keys', body: key, repeatable: false }),
    list: (page: { limit?: number; cursor?: string } = {}): Promise<ApiKeyPage> =>
      this.send({ method: 'GET', path: '/api-keys', query: page }),
    revoke: (id: string): Promise<ApiKey> =>
      this.send({ method: 'DELETE', path: `/api-keys/${encodeURIComponent(id)}` }),
  };

  protected constructor(
    protected readonly transport: Transport,
    protected readonly budgetMs: number,
  ) {}

  /** All queues, with depth, rates, limits and pauses. */
  async queues(): Promise<Queue[]> {
    return (await this.send<{ items: Queue[] }>({ method: 'GET', path: '/queues' })).items;
  }

  /** Throws `BatonError` `not_found` when no job was ever created in it, and nothing is set for it. */
  async queue(name: string): Promise<Queue> {
    return this.send({ method: 'GET', path: queuePath(name) });
  }

  /** Sets limits; what is left out stays, `null` takes a limit away. */
  async setQueue(name: string, settings: SetQueue): Promise<Queue> {
    return this.send({ method: 'PUT', path: queuePath(name), body: settings });
  }

  /** It gives out nothing, until it is resumed or `untilAt` (ISO-8601) has come; what runs goes on. */
  async pauseQueue(name: string, options: { reason?: string; untilAt?: string } = {}): Promise<Queue> {
    return this.send({ method: 'POST', path: queuePath(name, '/pause'), body: options });
  }

  async resumeQueue(name: string): Promise<Queue> {
    return this.send({ method: 'POST', path: queuePath(name, '/resume') });
  }

  /** Cancels all that waits in it, and returns how many; what runs goes on. */
  async purgeQueue(name: string): Promise<number> {
    return (await this.send<z.infer<typeof bulkCount>>({ method: 'POST', path: queuePath(name, '/purge') })).count;
  }

  /** How many runners it wants, for jobs to start within `targetMs` (default 10 s), with `perRunner` slots each (default 1). */
  async scale(name: string, options: { targetMs?: number; perRunner?: number } = {}): Promise<Scale> {
    return this.send({ method: 'GET', path: queuePath(name, '/scale'), query: options });
  }

  /** Cancels all jobs that match, and returns how many. This and the three below are safe to repeat. */
  cancelAll<B extends Bulk | BulkInBackground = Bulk>(filter: Filter, options?: B & { reason?: string }): Counted<B> {
    return this.bulk('cancel', { ...options, filter });
  }

  /** Retries all failed and cancelled jobs that match. */
  retryAll<B extends Bulk | BulkInBackground = Bulk>(filter: Filter, options?: B): Counted<B> {
    return this.bulk('retry', { ...options, filter });
  }

  /** Deletes all finished jobs that match, for good; needs a key of role `admin`. */
  purgeAll<B extends Bulk | BulkInBackground = Bulk>(filter: Filter, options?: B): Counted<B> {
    return this.bulk('purge', { ...options, filter });
  }

  /** Gives all waiting jobs that match another priority. */
  prioritiseAll<B extends Bulk | BulkInBackground = Bulk>(
    filter: Filter,
    priority: NonNullable<CreateJob['priority']>,
    options?: B,
  ): Counted<B> {
    return this.bulk('prioritise', { ...options, filter, priority });
  }

  /** How far a verb has come that was started in the background. */
  async bulkOperation(id: string): Promise<BulkOperation> {
    return this.send({ method: 'GET', path: `/bulk-operations/${encodeURIComponent(id)}` });
  }

  /** One page of the runners the coordinator has heard of. */
  async runners(page: { limit?: number; cursor?: string } = {}): Promise<RunnerPage> {
    return this.send({ method: 'GET', path: '/runners', query: page });
  }

  /** Gives it no more work; what it runs it finishes. */
  async drainRunner(id: string): Promise<RunnerView> {
    return this.send({ method: 'POST', path: `/runners/${encodeURIComponent(id)}/drain` });
  }

  async resumeRunner(id: string): Promise<RunnerView> {
    return this.send({ method: 'POST', path: `/runners/${encodeURIComponent(id)}/resume` });
  }

  /** How it stands now. */
  async stats(): Promise<Stats> {
    return this.send({ method: 'GET', path: '/stats' });
  }

  /** What ended within a range (default the last 24 hours), by queue (the default), type, user or runner, and over time. */
  async analytics(query: z.input<typeof analyticsQuery> = {}): Promise<Analytics> {
    return this.send({ method: 'GET', path: '/analytics', query: query as Record<string, string | number> });
  }

  async health(): Promise<Health> {
    return this.send({ method: 'GET', path: '/health' });
  }

  protected async send<T>(request: ApiRequest): Promise<T> {
    return (await this.transport.call<T>({ budgetMs: this.budgetMs, ...request })).body;
  }

  private async bulk<B extends Bulk | BulkInBackground>(
    verb: string,
    body: { filter: Filter; priority?: CreateJob['priority'] },
  ): Counted<B> {
    const reply = await this.send<z.infer<typeof bulkCount> | BulkOperation>({
      method: 'POST',
      path: `/jobs/${verb}`,
      body,
    });
    return ('count' in reply ? reply.count : reply) as Awaited<Counted<B>>;
  }
}

function queuePath(name: string, verb = ''): string {
  return `/queues/${encodeURIComponent(name)}${verb}`;
}
