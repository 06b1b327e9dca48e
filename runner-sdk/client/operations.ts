import type { z } from 'zod';
import {
  assertStrict,
  choiceOf,
  PAGE_FIELDS,
  type All,
  type Bulk,
  type BulkInBackground,
  type Counted,
  type Filter,
  type Page,
  type Strict,
} from './filters';
import type { ApiRequest, QueryValue, Send, Transport } from '../transport/transport';
import type {
  alive,
  Analytics,
  analyticsQuery,
  auditList,
  bulkCount,
  bulkReplay,
  BulkOperation,
  cleanup,
  cleanupPreview,
  CreateJob,
  Health,
  JobType,
  jobTypeList,
  listAuditQuery,
  Queue,
  RateLimits,
  Readiness,
  runnerList,
  RunnerView,
  Scale,
  Session,
  SetQueue,
  Stats,
  SystemReport,
} from '../protocol';
import { Alerts } from './alerts';
import { ApiKeys } from './api-keys';
import { Batches } from './batches';
import { Callbacks } from './callbacks';
import { DeadLetters } from './dead-letters';
import { Schedules } from './schedules';
import { Webhooks } from './webhooks';
import { Workflows } from './workflows';

export type RunnerPage = z.infer<typeof runnerList>;
export type JobTypePage = z.infer<typeof jobTypeList>;
export type AuditPage = z.infer<typeof auditList>;
/** Administration of a coordinator: queues, runners, keys, health, and bulk verbs. */
export class Operations {
  /** Creates, lists, rotates and revokes keys; needs a key of role `admin`. */
  readonly apiKeys: ApiKeys;
  /** Jobs that are created repeatedly, by time. */
  readonly schedules: Schedules;
  /** Sends events to other services as they happen. */
  readonly webhooks: Webhooks;
  /** The deliveries of jobs' `callbackUrl`. */
  readonly callbacks: Callbacks;
  /** Many jobs that are managed as one. */
  readonly batches: Batches;
  /** Graphs of jobs that pass on their results. */
  readonly workflows: Workflows;
  /** Rules that watch rates, depths and ages. */
  readonly alerts: Alerts;
  /** Jobs that have failed for good. */
  readonly deadLetters: DeadLetters;

  protected constructor(
    protected readonly transport: Transport,
    protected readonly budgetMs: number,
  ) {
    const send: Send = (request) => this.send(request);
    this.apiKeys = new ApiKeys(send);
    this.schedules = new Schedules(send);
    this.webhooks = new Webhooks(send);
    this.callbacks = new Callbacks(send);
    this.alerts = new Alerts(send);
    this.batches = new Batches(send);
    this.workflows = new Workflows(send);
    this.deadLetters = new DeadLetters(send);
  }

  /** All queues, with depth, rates, limits and pauses. */
  async queues(): Promise<Queue[]> {
    return this.all<Queue>('/queues');
  }

  /** Every item of a list, page after page. */
  protected async all<Item>(path: string): Promise<Item[]> {
    const items: Item[] = [];
    let cursor: string | null = null;
    do {
      const query: { cursor?: string } = cursor === null ? {} : { cursor };
      const page: { items: Item[]; nextCursor?: string | null } = await this.send({ method: 'GET', path, query });
      items.push(...page.items);
      cursor = page.nextCursor ?? null;
    } while (cursor !== null);
    return items;
  }

  /** Throws `BatonError` `not_found` when the queue has neither jobs nor settings. */
  async queue(name: string): Promise<Queue> {
    return this.send({ method: 'GET', path: queuePath(name) });
  }

  /** Sets limits; what is left out stays, `null` removes a limit. */
  async setQueue(name: string, settings: SetQueue): Promise<Queue> {
    return this.send({ method: 'PUT', path: queuePath(name), body: settings });
  }

  /** Starts no jobs until it is resumed or `untilAt` (ISO-8601) has passed; running jobs continue. */
  async pauseQueue(
    name: string,
    options: { reason?: string | undefined; untilAt?: string | undefined } = {},
  ): Promise<Queue> {
    return this.send({ method: 'POST', path: queuePath(name, '/pause'), body: options });
  }

  async resumeQueue(name: string): Promise<Queue> {
    return this.send({ method: 'POST', path: queuePath(name, '/resume') });
  }

  /** Cancels all waiting jobs of the queue, and returns how many; running jobs continue. */
  async purgeQueue(name: string): Promise<number> {
    return (await this.send<z.infer<typeof bulkCount>>({ method: 'POST', path: queuePath(name, '/purge') })).count;
  }

  /**
   * The number of runners needed for jobs to start within `targetMs` (default 10 s), with `perRunner` slots each
   * (default 1).
   */
  async scale(
    name: string,
    options: { targetMs?: number | undefined; perRunner?: number | undefined } = {},
  ): Promise<Scale> {
    return this.send({ method: 'GET', path: queuePath(name, '/scale'), query: options });
  }

  /**
   * Cancels all matching jobs, and returns how many; `{ all: true }` instead of a filter means every job. This and the
   * three methods below are safe to repeat, and throw `ConfigurationError` for an empty filter or a field that is
   * `undefined`.
   */
  cancelAll<B extends Bulk | BulkInBackground = Bulk>(
    filter: Filter | All,
    options?: B & { reason?: string | undefined },
  ): Counted<B> {
    return this.bulk('cancel', filter, options);
  }

  /** Retries all matching failed and cancelled jobs. */
  retryAll<B extends Bulk | BulkInBackground = Bulk>(filter: Filter | All, options?: B): Counted<B> {
    return this.bulk('retry', filter, options);
  }

  /** Permanently deletes all matching finished jobs; needs a key of role `admin`. */
  purgeAll<B extends Bulk | BulkInBackground = Bulk>(filter: Filter | All, options?: B): Counted<B> {
    return this.bulk('purge', filter, options);
  }

  /** Changes the priority of all matching waiting jobs. */
  prioritiseAll<B extends Bulk | BulkInBackground = Bulk>(
    filter: Filter | All,
    priority: NonNullable<CreateJob['priority']>,
    options?: B,
  ): Counted<B> {
    return this.bulk('prioritise', filter, { ...options, priority });
  }

  /**
   * Creates new jobs like all matching finished jobs, in the background; follow it with `bulkOperation`. A repeated
   * call is the same operation; another `idempotencyKey` creates the jobs once more.
   */
  async replayAll(
    filter: Filter | All,
    options: Strict<Omit<z.input<typeof bulkReplay>, 'filter' | 'all' | 'dryRun'>> & {
      idempotencyKey?: string | undefined;
    } = {},
  ): Promise<BulkOperation> {
    const { idempotencyKey, ...changes } = options;
    return this.send({
      method: 'POST',
      path: '/jobs/replay',
      body: { ...choiceOf('replayAll', filter), ...changes },
      ...(idempotencyKey === undefined ? {} : { headers: { 'idempotency-key': idempotencyKey } }),
    });
  }

  /** The progress of a background operation. */
  async bulkOperation(id: string): Promise<BulkOperation> {
    return this.send({ method: 'GET', path: `/bulk-operations/${encodeURIComponent(id)}` });
  }

  /** Ends a background operation early; what it has changed stays changed. */
  async cancelBulkOperation(id: string): Promise<BulkOperation> {
    return this.send({ method: 'POST', path: `/bulk-operations/${encodeURIComponent(id)}/cancel` });
  }

  /** Number of finished jobs that retention would delete now. */
  async cleanupPreview(): Promise<z.infer<typeof cleanupPreview>> {
    return this.send({ method: 'GET', path: '/cleanup' });
  }

  /**
   * Permanently deletes finished jobs, and returns how many; needs a key of role `admin`. Without `olderThanMs`, those
   * that retention would delete now; with it, those of the given status or queue, or of `all: true`.
   */
  async cleanup(what: Strict<z.input<typeof cleanup>> = {}): Promise<number> {
    assertStrict('cleanup', what);
    return (await this.send<z.infer<typeof bulkCount>>({ method: 'POST', path: '/cleanup', body: what })).count;
  }

  /** One page of the known runners. */
  async runners(page: Page = {}): Promise<RunnerPage> {
    return this.send({ method: 'GET', path: '/runners', query: page });
  }

  /** One page of the job types that runners serve, with the JSON Schemas that they have published. */
  async types(page: Page = {}): Promise<JobTypePage> {
    return this.send({ method: 'GET', path: '/types', query: page });
  }

  /** The schemas of a job type. Throws `BatonError` with code `not_found` when nobody serves it. */
  async type(type: string): Promise<JobType> {
    return this.send({ method: 'GET', path: `/types/${encodeURIComponent(type)}` });
  }

  /** Gives it no more jobs; it finishes those that it runs. */
  async drainRunner(id: string): Promise<RunnerView> {
    return this.send({ method: 'POST', path: `/runners/${encodeURIComponent(id)}/drain` });
  }

  async resumeRunner(id: string): Promise<RunnerView> {
    return this.send({ method: 'POST', path: `/runners/${encodeURIComponent(id)}/resume` });
  }

  /**
   * What is left of the limits on how many jobs a user may create, by queue. Without `userId`: those of the key's user.
   */
  async rateLimits(whose: { userId?: string } = {}): Promise<RateLimits> {
    assertStrict('rateLimits', whose);
    return this.send({ method: 'GET', path: '/rate-limits', query: whose });
  }

  /** One page of the audit log, newest first; needs a key of role `admin`. */
  async audit(filter: Strict<Omit<z.input<typeof listAuditQuery>, keyof Page>> & Page = {}): Promise<AuditPage> {
    assertStrict('audit', filter, PAGE_FIELDS);
    return this.send({ method: 'GET', path: '/audit', query: filter });
  }

  /** The current state. */
  async stats(): Promise<Stats> {
    return this.send({ method: 'GET', path: '/stats' });
  }

  /**
   * What ended within a range (default: the last 24 hours), by queue (the default), type, user or runner, and over
   * time.
   */
  async analytics(query: z.input<typeof analyticsQuery> = {}): Promise<Analytics> {
    assertStrict('analytics', query, ['by', 'range', 'limit']);
    return this.send({ method: 'GET', path: '/analytics', query: query as Record<string, QueryValue> });
  }

  /** The owner of this key, and its rights. */
  async whoAmI(): Promise<Session> {
    return this.send({ method: 'GET', path: '/session' });
  }

  /** Which coordinators are connected, the migrations, and the settings in force. */
  async system(): Promise<SystemReport> {
    return this.send({ method: 'GET', path: '/system' });
  }

  async health(): Promise<Health> {
    return this.send({ method: 'GET', path: '/health' });
  }

  /** Whether the process answers. */
  async alive(): Promise<z.infer<typeof alive>> {
    return this.send({ method: 'GET', path: '/healthz' });
  }

  /** Whether it accepts work, and if not, why. Not retried: a coordinator that is not ready is an answer. */
  async ready(): Promise<Readiness> {
    return this.send({ method: 'GET', path: '/readyz', accepts: [503], budgetMs: 0 });
  }

  /** Metrics in the Prometheus text format. */
  async metrics(): Promise<string> {
    return this.send({ method: 'GET', path: '/metrics', isText: true });
  }

  protected async send<T>(request: ApiRequest): Promise<T> {
    return (await this.transport.call<T>({ budgetMs: this.budgetMs, ...request })).body;
  }

  private async bulk<B extends Bulk | BulkInBackground>(
    verb: string,
    filter: Filter | All,
    options: object | undefined,
  ): Counted<B> {
    const reply = await this.send<z.infer<typeof bulkCount> | BulkOperation>({
      method: 'POST',
      path: `/jobs/${verb}`,
      body: { ...options, ...choiceOf(`${verb}All`, filter) },
    });
    return ('count' in reply ? reply.count : reply) as Awaited<Counted<B>>;
  }
}

function queuePath(name: string, verb = ''): string {
  return `/queues/${encodeURIComponent(name)}${verb}`;
}
