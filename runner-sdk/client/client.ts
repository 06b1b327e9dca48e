import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { connectionOf, type ConnectionOptions } from '../transport/config';
import { createAllOrNone, createEach, createKeyed } from './create-many';
import { CreateQueue, type CreationOrder } from './create-queue';
import { assertArguments, type JobDefinition, type JobOf } from './define-job';
import { BatonError } from '../transport/errors';
import type { EventStreamOptions } from './event-stream';
import { assertStrict, filterQuery, type Filter, type Page, type Strict } from './filters';
import { followEvents, followJob, type ClientEvent } from './follow';
import { Transport, type ApiRequest } from '../transport/transport';
import { Operations } from './operations';
import {
  type attemptList,
  type CreatedJobs,
  type CreateJob,
  type EditJob,
  type eventsQuery,
  type Explanation,
  type Job,
  type JobEvent,
  type jobList,
  type logLine,
  type logList,
  type LogLevel,
  type jobCount,
  type Workflow,
} from '../protocol';
import { type InputOf, type OutputOf, type Schema } from './schema';
import { startSending, type Trace } from '../transport/tracing';
import { Turns } from './turns';
import { assertAll, assertIsKey, creationJson, definitionOf, given, settingsJson, withObject } from './creation';
import { isLarge, Objects } from '../transport/objects';
import { waitForResult, type WaitOptions } from './wait';
import { chained, type ChainStep, type WorkflowBuilder, type WorkflowOptions } from './workflows';

export interface ClientOptions extends ConnectionOptions {
  /**
   * How long one call may be retried while the coordinator cannot be reached or is overloaded, in milliseconds. Default
   * 30 s.
   */
  budgetMs?: number | undefined;
}

/**
 * All fields of a create except its type and arguments; they override the definition's defaults. `undefined` counts as
 * left out.
 */
export interface CreateOptions extends Omit<CreateJob, 'type' | 'arguments'> {
  /**
   * 1 to 255 visible ASCII characters. Default: random. Give your own to make the create idempotent even across
   * restarts of your process.
   */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Events of jobs in this queue, of this type, of this user; of one job. */
export type EventFilter = Strict<Omit<z.input<typeof eventsQuery>, 'lastEventId'>>;
export type JobListPage = z.infer<typeof jobList>;
export type AttemptView = z.infer<typeof attemptList>['items'][number];
export type LogLineView = z.infer<typeof logLine>;
export type LogPage = z.infer<typeof logList>;

/** Arguments may be left out if the definition allows that. */
type CreateRest<Arguments extends Schema> =
  undefined extends InputOf<Arguments>
    ? [args?: InputOf<Arguments>, options?: CreateOptions]
    : [args: InputOf<Arguments>, options?: CreateOptions];

/**
 * Creates and follows jobs, and administers the coordinator. Every call is retried, with jittered backoff, on 429, 5xx
 * and broken connections, and at the next URL when one is gone. Every refusal is a `BatonError`.
 */
export class Client extends Operations {
  private readonly creations: CreateQueue;
  private readonly objects = new Objects((request) => this.send(request));
  /** Creates of one order are sent one after the other, in the order of the calls. */
  private readonly turns = new Turns();

  /** Throws `ConfigurationError` when the URL or key is missing or invalid. */
  constructor(options: ClientOptions = {}) {
    super(new Transport(connectionOf(options)), options.budgetMs ?? 30_000);
    this.creations = new CreateQueue(this.transport, this.budgetMs);
  }

  /**
   * Creates a job. Arguments that do not match the definition throw `BatonError` `invalid_arguments` before anything is
   * sent. Calls made while one is in flight are sent together; each is accepted or refused on its own, and none waits
   * for another, unless both have the same queue and `orderKey`.
   */
  create<Arguments extends Schema, Result extends Schema>(
    definition: JobDefinition<Arguments, Result>,
    ...rest: CreateRest<Arguments>
  ): Promise<JobOf<Arguments, Result>>;
  create(type: string, args?: unknown, options?: CreateOptions): Promise<Job>;
  async create(target: string | JobDefinition, args?: unknown, options: CreateOptions = {}): Promise<Job> {
    const definition = definitionOf(target);
    const { idempotencyKey, signal, ...fields } = given(options);
    if (idempotencyKey !== undefined) assertIsKey(idempotencyKey);
    const order = orderOf(definition, fields);
    const settings = settingsJson(definition, fields);
    const json = creationJson(definition, args, settings);
    const more = { order, ...(idempotencyKey && { idempotencyKey }), ...(signal && { signal }) };
    const start = () =>
      traced(definition, fields, 1, async (trace) =>
        this.creations.add({
          json: isLarge(json) ? await withObject(this.objects, json, settings, signal) : json,
          trace,
          ...more,
        }),
      );
    if (order !== undefined) {
      const checked = assertArguments(definition, args);
      return remembered(await this.turns.take(order.key, checked, start), definition);
    }
    if (definition.arguments !== undefined) await assertArguments(definition, args);
    return remembered(await start(), definition);
  }

  /**
   * Creates a job for each of the arguments, all or none: at most 1000 jobs and 16 MiB. With `atomic: false` each is
   * accepted or refused on its own, in as many requests as needed, and the result has a `BatonError` in place of each
   * refused job. The options apply to all jobs; the `idempotencyKey` is that of the call: a repeated call returns the
   * same jobs.
   */
  createMany<Arguments extends Schema, Result extends Schema>(
    definition: JobDefinition<Arguments, Result>,
    list: readonly InputOf<Arguments>[],
    options?: CreateOptions & { atomic?: true | undefined },
  ): Promise<JobOf<Arguments, Result>[]>;
  createMany<Arguments extends Schema, Result extends Schema>(
    definition: JobDefinition<Arguments, Result>,
    list: readonly InputOf<Arguments>[],
    options: CreateOptions & { atomic: boolean },
  ): Promise<(JobOf<Arguments, Result> | BatonError)[]>;
  createMany(
    type: string,
    list: readonly unknown[],
    options?: CreateOptions & { atomic?: true | undefined },
  ): Promise<Job[]>;
  createMany(
    type: string,
    list: readonly unknown[],
    options: CreateOptions & { atomic: boolean },
  ): Promise<(Job | BatonError)[]>;
  async createMany(
    target: string | JobDefinition,
    list: readonly unknown[],
    options: CreateOptions & { atomic?: boolean | undefined } = {},
  ): Promise<(Job | BatonError)[]> {
    const definition = definitionOf(target);
    const { atomic = true, idempotencyKey = randomUUID(), signal, ...fields } = given(options);
    // Without `atomic` the keys of jobs are the key with an index appended.
    assertIsKey(atomic ? idempotencyKey : `${idempotencyKey}.${list.length}`, idempotencyKey);
    const order = orderOf(definition, fields);
    const settings = settingsJson(definition, fields);
    const jobs = list.map((args) => creationJson(definition, args, settings));
    if (jobs.length === 0) return [];
    const send = (request: ApiRequest) => this.send<CreatedJobs>(request);
    const start = () =>
      traced<(Job | BatonError)[]>(definition, fields, list.length, async (trace) => {
        for (const [index, json] of jobs.entries())
          if (isLarge(json)) jobs[index] = await withObject(this.objects, json, settings, signal);
        return (atomic ? createAllOrNone : createEach)(send, { jobs, idempotencyKey, trace, signal });
      });
    const checked = assertAll(definition, list);
    const made =
      order === undefined
        ? await checked.then(start)
        : await this.turns.takeAlone(order.key, checked, () => this.creations.settled(order.key).then(start));
    return made.map((job) => (job instanceof BatonError ? job : remembered(job, definition)));
  }

  /**
   * Creates jobs of any types, each accepted or refused on its own, in as many requests as needed; the result has a
   * `BatonError` in place of each refused job. A job without `idempotencyKey` gets a random one. When no request
   * succeeds, its error is thrown.
   */
  async createEach(
    jobs: readonly (CreateJob & { idempotencyKey?: string | undefined })[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<(Job | BatonError)[]> {
    const { signal } = options;
    const keyed: string[] = [];
    for (const { idempotencyKey = randomUUID(), arguments: args, ...job } of jobs) {
      assertIsKey(idempotencyKey);
      const settings = JSON.stringify({ ...job, idempotencyKey });
      const json = args === undefined ? settings : `${settings.slice(0, -1)},"arguments":${JSON.stringify(args)}}`;
      keyed.push(isLarge(json) ? await withObject(this.objects, json, settings, signal) : json);
    }
    if (keyed.length === 0) return [];
    return createKeyed((request) => this.send<CreatedJobs>(request), { keyed, trace: undefined, signal });
  }

  /**
   * The value itself, or what it refers to if it is kept in the object store: `await client.read(job.arguments)`. Jobs
   * that are read or listed show the reference; handlers and `wait` get the value.
   */
  read(value: unknown, options: { signal?: AbortSignal | undefined } = {}): Promise<unknown> {
    return this.objects.read(value, options.signal);
  }

  /** Throws `BatonError` `not_found`. */
  async get(id: string): Promise<Job> {
    return this.send({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}` });
  }

  /** One page of jobs, newest first. */
  async list(filter: Filter & Page = {}): Promise<JobListPage> {
    return this.send({ method: 'GET', path: '/jobs', query: filterQuery('list', filter) });
  }

  /** Number of matching jobs: exact up to `most` (10,000 by default); above it `isMore` is true. */
  async count(filter: Filter = {}, options: { most?: number | undefined } = {}): Promise<z.infer<typeof jobCount>> {
    return this.send({ method: 'GET', path: '/jobs/count', query: { ...filterQuery('count', filter), ...options } });
  }

  /** All matching jobs, page after page: `for await (const job of client.listAll({ status: 'failed' }))`. */
  async *listAll(filter: Filter & Pick<Page, 'limit'> = {}): AsyncGenerator<Job, void, undefined> {
    let cursor: string | null = null;
    do {
      const page: JobListPage = await this.list({
        ...filter,
        limit: filter.limit ?? 500,
        ...(cursor !== null && { cursor }),
      });
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== null);
  }

  async attempts(id: string): Promise<AttemptView[]> {
    return this.all<AttemptView>(`/jobs/${encodeURIComponent(id)}/attempts`);
  }

  /** One page of the job's log lines, oldest first; `after` continues after the line with this `seq`. */
  async logs(
    id: string,
    query: { after?: number | undefined; level?: LogLevel | undefined } & Page = {},
  ): Promise<LogPage> {
    return this.send({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}/logs`, query });
  }

  /**
   * Cancels a job. If it is running, its handler's signal is aborted. A finished job: `BatonError` `state_conflict`.
   */
  async cancel(id: string, reason?: string): Promise<Job> {
    return this.verb(id, 'cancel', reason === undefined ? {} : { reason }, (job) => job.status === 'cancelled');
  }

  /** Deletes a finished job for good; needs a key of role `admin`. */
  async delete(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: `/jobs/${encodeURIComponent(id)}`, query: { purge: true } });
  }

  /** Retries a failed or cancelled job; its failures start again at 0. */
  async retry(id: string): Promise<Job> {
    return this.verb(id, 'retry', {}, (job) => job.status === 'pending' || job.status === 'running');
  }

  /** Moves a pending job's `runAt` to now. */
  async runNow(id: string): Promise<Job> {
    return this.verb(id, 'run-now', {}, (job) => job.status === 'running');
  }

  /** Changes a job that is not running yet. */
  async edit(id: string, changes: EditJob): Promise<Job> {
    return this.send({ method: 'PATCH', path: `/jobs/${encodeURIComponent(id)}`, body: changes });
  }

  /** Why a job does not run, the most decisive reason first. */
  async explain(id: string): Promise<Explanation> {
    return this.send({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}/explain` });
  }

  /**
   * Waits until the job has completed, and returns its result. Throws `JobFailedError`, `JobCancelledError`, and
   * `BatonError` `wait_timeout` when `timeoutMs` passes first.
   */
  wait<Result extends Schema = Schema>(
    job: string | JobOf<Schema, Result>,
    options?: WaitOptions<Result>,
  ): Promise<OutputOf<Result>>;
  async wait(job: string | Job, options: WaitOptions = {}): Promise<unknown> {
    const definition = options.definition ?? (typeof job === 'string' ? undefined : definitions.get(job));
    return waitForResult(
      this.transport,
      typeof job === 'string' ? job : job.id,
      { ...options, ...(definition && { definition }) },
      this.budgetMs,
      this.objects,
    );
  }

  /**
   * Creates a graph of jobs, all or none: `client.workflow('report', (w) => { const load = w.add(loadJob, { day });
   * w.add(sumJob, {}, { after: [load] }); })`. A handler gets the results of the jobs before it: `await
   * job.resultOf(loadJob)`. Arguments that do not match a definition throw `BatonError` `invalid_arguments` before
   * anything is sent.
   */
  workflow(
    name: string,
    build: (workflow: WorkflowBuilder) => unknown,
    options: WorkflowOptions = {},
  ): Promise<Workflow> {
    return this.workflows.create(name, build, options);
  }

  /**
   * Creates jobs that run one after the other:
   * `client.chain([[fetchJob, { url }], [resizeJob, { width: 200 }], [storeJob]])`.
   */
  chain<const Arguments extends readonly Schema[]>(
    steps: { readonly [Index in keyof Arguments]: ChainStep<Arguments[Index]> },
    options: WorkflowOptions & { name?: string | undefined } = {},
  ): Promise<Workflow> {
    const { name = 'chain', ...rest } = options;
    return this.workflows.create(name, chained(steps), rest);
  }

  /**
   * Waits until the workflow has ended, and returns it with its jobs. Throws `BatonError` `wait_timeout` when
   * `timeoutMs` passes first; default: no limit.
   */
  async waitWorkflow(
    workflow: string | Pick<Workflow, 'id'>,
    options: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Workflow> {
    const id = typeof workflow === 'string' ? workflow : workflow.id;
    await this.workflows.wait(id, options);
    return this.workflows.get(id);
  }

  /**
   * The events of a job until it has finished: `for await (const event of client.watch(job))`. Reconnects without
   * missing events; leaving the loop closes the connection. A job that has already finished gives one event, which says
   * so.
   */
  watch(job: string | Pick<Job, 'id'>, options: EventStreamOptions = {}): AsyncGenerator<JobEvent, void> {
    const id = typeof job === 'string' ? job : job.id;
    const request = { path: `/jobs/${encodeURIComponent(id)}/events` };
    return followJob({ transport: this.transport, request, budgetMs: this.budgetMs }, options, () => this.get(id));
  }

  /**
   * The events of all matching jobs, from now on: `for await (const event of client.events({ queue: 'films' }))`.
   * Reconnects and continues after the last event; leaving the loop closes the connection.
   */
  events(filter: EventFilter = {}, options: EventStreamOptions = {}): AsyncGenerator<ClientEvent, void> {
    assertStrict('events', filter);
    const request = { path: '/events', query: filter };
    return followEvents({ transport: this.transport, request, budgetMs: this.budgetMs }, options);
  }

  /** Closes the connections; calls in flight fail. A process that only awaits its calls ends without it. */
  async close(): Promise<void> {
    this.creations.close(
      new BatonError({ code: 'unreachable', status: 0, detail: 'the client was closed before the job was created' }),
    );
    await this.transport.close();
  }

  /**
   * A verb that refuses a second call: after an attempt whose answer was lost, a refusal may mean that it succeeded.
   */
  private async verb(id: string, verb: string, body: object, isDone: (job: Job) => boolean): Promise<Job> {
    let wasTried = false;
    const request: ApiRequest = {
      method: 'POST',
      path: `/jobs/${encodeURIComponent(id)}/${verb}`,
      body,
      onRetry: () => (wasTried = true),
    };
    try {
      return await this.send(request);
    } catch (error) {
      if (!wasTried || !(error instanceof BatonError) || error.code !== 'state_conflict') throw error;
      const job = await this.get(id);
      if (isDone(job)) return job;
      throw error;
    }
  }
}

/** The definition that a job was created from, if it describes the result, so that `wait` can check and type it. */
const definitions = new WeakMap<object, JobDefinition>();

function remembered(job: Job, definition: JobDefinition): Job {
  if (definition.result !== undefined) definitions.set(job, definition);
  return job;
}

/** Sends within a span, if tracing is on. */
async function traced<Sent>(
  { type, defaults }: JobDefinition,
  fields: { queue?: string },
  count: number,
  send: (trace: Trace | undefined) => Promise<Sent>,
): Promise<Sent> {
  const sending = startSending(type, fields.queue ?? defaults.queue, count);
  if (sending === null) return send(undefined);
  try {
    const sent = await send(sending.trace);
    sending.end({ jobId: (sent as Partial<Job>).id });
    return sent;
  } catch (error) {
    sending.end({ error });
    throw error;
  }
}

function orderOf({ type, defaults }: JobDefinition, fields: Partial<CreateJob>): CreationOrder | undefined {
  const { queue = 'default', orderKey, userId, priority, requires, prefers } = { ...defaults, ...fields };
  if (orderKey === undefined) return undefined;
  return {
    key: JSON.stringify([queue, orderKey]),
    limits: JSON.stringify([userId, type, priority, requires, prefers]),
  };
}
