import { randomUUID } from 'node:crypto';
import { type z } from 'zod';
import { connectionOf, type ConnectionOptions } from './config';
import { CreateQueue, itemRefusal, withKey } from './create-queue';
import { assertArguments, type JobDefinition, type JobOf } from './define-job';
import { BatonError } from './errors';
import { Transport, type ApiRequest, type QueryValue } from './http';
import { storable } from './json';
import { Operations, type Filter, type Page } from './operations';
import {
  type attemptList,
  type jobList,
  type logLine,
  type logList,
  type CreatedJobs,
  type CreateJob,
  type EditJob,
  type Explanation,
  type Job,
  type LogLevel,
} from './protocol';
import { startSending, type Trace } from './tracing';
import { waitForResult, type WaitOptions } from './wait';

export interface ClientOptions extends ConnectionOptions {
  /** How long one call may be tried again while the coordinator cannot be reached or is overloaded. Default 30 s. */
  budgetMs?: number;
}

/** Everything of a create but its type and arguments; overrules the definition's defaults. */
export interface CreateOptions extends Omit<CreateJob, 'type' | 'arguments'> {
  /** Default: random. Give your own to make the create the same one also after your process was restarted. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export type JobListPage = z.infer<typeof jobList>;
export type AttemptView = z.infer<typeof attemptList>['items'][number];
export type LogLineView = z.infer<typeof logLine>;
export type LogPage = z.infer<typeof logList>;

/** Arguments may be left out where the definition allows that. */
type CreateRest<Arguments extends z.ZodType> =
  undefined extends z.input<Arguments>
    ? [args?: z.input<Arguments>, options?: CreateOptions]
    : [args: z.input<Arguments>, options?: CreateOptions];

/**
 * Submits jobs, follows them, and runs the coordinator. Every call is tried again, with jittered backoff, on 429, 5xx
 * and broken sockets, at the next URL when one is gone; every refusal is a `BatonError`.
 */
export class Client extends Operations {
  private readonly creations: CreateQueue;
  /** Settled when the arguments of all creates of an order so far are checked. */
  private orderChecked: Promise<unknown> = Promise.resolve();

  /** Throws `ConfigurationError` when URL or key are missing or wrong. */
  constructor(options: ClientOptions = {}) {
    super(new Transport(connectionOf(options)), options.budgetMs ?? 30_000);
    this.creations = new CreateQueue(this.transport, this.budgetMs);
  }

  /**
   * Creates a job. Arguments that do not fit the definition throw `BatonError` `invalid_arguments` before anything is
   * sent. Calls made while one is in flight travel together; each is accepted or refused alone.
   */
  create<Arguments extends z.ZodType, Result extends z.ZodType>(
    definition: JobDefinition<Arguments, Result>,
    ...rest: CreateRest<Arguments>
  ): Promise<JobOf<Arguments, Result>>;
  create(type: string, args?: unknown, options?: CreateOptions): Promise<Job>;
  async create(target: string | JobDefinition, args?: unknown, options: CreateOptions = {}): Promise<Job> {
    const definition = definitionOf(target);
    const { idempotencyKey, signal, ...fields } = options;
    const isOrdered = (fields.orderKey ?? definition.defaults.orderKey) !== undefined;
    const json = creationJson(definition, args, settingsJson(definition, fields));
    if (isOrdered) await this.checkInOrder(definition, args);
    else if (definition.arguments !== undefined) await assertArguments(definition, args);
    const job = await traced(definition, fields, 1, (trace) =>
      this.creations.add({
        json,
        trace,
        isOrdered,
        ...(idempotencyKey && { idempotencyKey }),
        ...(signal && { signal }),
      }),
    );
    return remembered(job, definition);
  }

  /**
   * Creates a job for each of the arguments (1 to 1000), all or none; with `atomic: false` each is judged alone, and
   * the answer holds a `BatonError` in the place of each that was refused. The options go for all of them; the
   * `idempotencyKey` is the call's: the same call again brings the same jobs.
   */
  createMany<Arguments extends z.ZodType, Result extends z.ZodType>(
    definition: JobDefinition<Arguments, Result>,
    list: readonly z.input<Arguments>[],
    options?: CreateOptions & { atomic?: true },
  ): Promise<JobOf<Arguments, Result>[]>;
  createMany<Arguments extends z.ZodType, Result extends z.ZodType>(
    definition: JobDefinition<Arguments, Result>,
    list: readonly z.input<Arguments>[],
    options: CreateOptions & { atomic: boolean },
  ): Promise<(JobOf<Arguments, Result> | BatonError)[]>;
  async createMany(
    definition: JobDefinition,
    list: readonly unknown[],
    { atomic = true, idempotencyKey = randomUUID(), signal, ...fields }: CreateOptions & { atomic?: boolean } = {},
  ): Promise<(Job | BatonError)[]> {
    if (definition.arguments !== undefined) for (const args of list) await assertArguments(definition, args);
    const settings = settingsJson(definition, fields);
    const all = list.map((args) => creationJson(definition, args, settings));
    const jobs = await traced(definition, fields, list.length, async (trace) => {
      // Jobs that are judged alone are repeated alone.
      const keyed = atomic ? all : all.map((one, index) => withKey(one, `${idempotencyKey}.${index}`));
      const headers = { ...(atomic && { 'idempotency-key': idempotencyKey }), ...trace };
      const json = `{"atomic":${atomic},"jobs":[${keyed.join(',')}]}`;
      return (
        await this.send<CreatedJobs>({
          method: 'POST',
          path: '/jobs/bulk',
          json,
          headers,
          expects: 'jobs',
          ...(signal && { signal }),
        })
      ).jobs;
    });
    return jobs.map((job) => ('code' in job ? itemRefusal(job) : remembered(job, definition)));
  }

  /** Throws `BatonError` `not_found`. */
  async get(id: string): Promise<Job> {
    return this.send({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}` });
  }

  /** One page of jobs, newest first. */
  async list(filter: Filter & Page = {}): Promise<JobListPage> {
    return this.send({ method: 'GET', path: '/jobs', query: queryOf(filter) });
  }

  /** All jobs that match, page after page: `for await (const job of client.listAll({ status: 'failed' }))`. */
  async *listAll(filter: Filter & Pick<Page, 'limit'> = {}): AsyncGenerator<Job, void, undefined> {
    let cursor: string | null = null;
    do {
      const page: JobListPage = await this.list({ limit: 500, ...filter, ...(cursor !== null && { cursor }) });
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== null);
  }

  async attempts(id: string): Promise<AttemptView[]> {
    return (
      await this.send<{ items: AttemptView[] }>({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}/attempts` })
    ).items;
  }

  /** One page of the job's log lines, oldest first; `after` continues from a line's `seq`. */
  async logs(id: string, query: { after?: number; level?: LogLevel } & Page = {}): Promise<LogPage> {
    return this.send({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}/logs`, query });
  }

  /** Also one that runs: its handler's signal is aborted. A finished job: `BatonError` `state_conflict`. */
  async cancel(id: string, reason?: string): Promise<Job> {
    return this.verb(id, 'cancel', reason === undefined ? {} : { reason }, (job) => job.status === 'cancelled');
  }

  /** A failed or cancelled job again, from its first try. */
  async retry(id: string): Promise<Job> {
    return this.verb(id, 'retry', {}, (job) => job.status === 'pending' || job.status === 'running');
  }

  /** Moves a pending job's `runAt` to now. */
  async runNow(id: string): Promise<Job> {
    return this.verb(id, 'run-now', {}, (job) => job.status === 'running');
  }

  /** Changes a job that does not run yet. */
  async edit(id: string, changes: EditJob): Promise<Job> {
    return this.send({ method: 'PATCH', path: `/jobs/${encodeURIComponent(id)}`, body: changes });
  }

  /** Why a job does not run, the most decisive reason first. */
  async explain(id: string): Promise<Explanation> {
    return this.send({ method: 'GET', path: `/jobs/${encodeURIComponent(id)}/explain` });
  }

  /**
   * The job's result, once it has completed. Throws `JobFailedError`, `JobCancelledError`, and `BatonError`
   * `wait_timeout` when `timeoutMs` is over first.
   */
  wait<Result extends z.ZodType = z.ZodUnknown>(
    job: string | JobOf<z.ZodType, Result>,
    options?: WaitOptions<Result>,
  ): Promise<z.output<Result>>;
  async wait(job: string | Job, options: WaitOptions<z.ZodType> = {}): Promise<unknown> {
    const definition = options.definition ?? (typeof job === 'string' ? undefined : definitions.get(job));
    return waitForResult(
      this.transport,
      typeof job === 'string' ? job : job.id,
      { ...options, ...(definition && { definition }) },
      this.budgetMs,
    );
  }

  /** Ends the connections; calls in flight fail. A process that only awaits its calls ends without it. */
  async close(): Promise<void> {
    await this.transport.close();
  }

  /** A create whose arguments are checked quickly must not overtake one that was asked for before. */
  private async checkInOrder(definition: JobDefinition, args: unknown): Promise<void> {
    const checks = [this.orderChecked, assertArguments(definition, args)];
    // Without their outcomes, or each would keep those of all before it.
    this.orderChecked = Promise.allSettled(checks).then(() => undefined);
    await Promise.all(checks);
  }

  /** A verb that refuses to be done twice: after a try whose answer was lost, its refusal may mean that it was done. */
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

/** Which definition a created job came from, if it says anything of the result, so that `wait` can check and type it. */
const definitions = new WeakMap<object, JobDefinition>();

function remembered(job: Job, definition: JobDefinition): Job {
  if (definition.result !== undefined) definitions.set(job, definition);
  return job;
}

/** Sends within a span of its own, if somebody traces. */
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

function definitionOf(target: string | JobDefinition): JobDefinition {
  return typeof target === 'string' ? { type: target, defaults: {} } : target;
}

/** All of a create but its arguments. */
function settingsJson({ type, defaults }: JobDefinition, fields: object): string {
  return JSON.stringify({ ...defaults, ...fields, type });
}

/** The create's body. Throws `BatonError` when the arguments cannot travel as JSON. */
function creationJson(definition: JobDefinition, args: unknown, settings: string): string {
  const stored = storable(args);
  if (!stored.isStorable) {
    throw new BatonError({
      code: 'invalid_arguments',
      status: 0,
      detail: `the arguments for ${definition.type} are not JSON that can be stored: ${stored.detail}`,
    });
  }
  return stored.text === undefined ? settings : `${settings.slice(0, -1)},"arguments":${stored.text}}`;
}

function queryOf({ arguments: contained, ...rest }: Filter & Page): Record<string, QueryValue> {
  return { ...rest, ...(contained !== undefined && { arguments: JSON.stringify(contained) }) };
}
