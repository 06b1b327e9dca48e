import { randomUUID } from 'node:crypto';
import {
  role as roles,
  type ApiKey,
  type CreatedApiKey,
  type CreateJob,
  type CreateSchedule,
  type Role,
} from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../../support/api';
import { startCoordinator } from '../../support/coordinator';
import { jobIn, type State, uniqueType } from '../../support/factory';

/** What names a thing in a request: its ids and tokens, by the names that a row puts them under. */
export type Thing = Record<string, string>;

/** Whose a thing is: of the user that the key of role `user` speaks for, of another, or of nobody. */
export type Owner = 'ann' | 'ben' | null;

/** Who calls: a good key of each role, and those whose credentials are no good (any more). */
export const STRANGERS = ['nobody', 'expired', 'revoked', 'unknown'] as const;
export type Caller = Role | (typeof STRANGERS)[number];
export const ROLES: readonly Role[] = roles.options;

/** Queues of the owners: the runner's key is limited to the first. */
const QUEUE_OF = (owner: Owner) => (owner === 'ann' ? 'mine' : 'theirs');

/** What is watched for changes, and of it what loops and clocks change by themselves. */
const WATCHED: Record<string, string[]> = {
  jobs: ['position', 'hold', 'updated_at'],
  dependencies: [],
  attempts: [],
  job_logs: [],
  api_keys: ['last_used_at'],
  queues: [],
  bulk_operations: [],
  sessions: [],
  session_links: [],
  idempotency_keys: [],
  batches: [],
  // Their ends follow later, from those of their jobs.
  workflows: ['status', 'finished_at'],
  alerts: [],
  schedules: [],
  schedule_ticks: [],
  webhooks: [],
  webhook_deliveries: [],
  signing_secrets: [],
  audit_log: [],
  objects: [],
  object_uses: [],
};

/**
 * Triggers that write down each change of a row, so that a look at what changed costs the same however much there is.
 */
const WATCH = `
  CREATE SCHEMA watch;
  CREATE TABLE watch.changes (nth bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, told text NOT NULL);
  CREATE FUNCTION watch.tell() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - TG_ARGV::text[] = to_jsonb(NEW) - TG_ARGV::text[] THEN RETURN NULL; END IF;
    INSERT INTO watch.changes (told)
    VALUES (concat_ws(' ', TG_OP, TG_TABLE_NAME, left(to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END)::text, 300)));
    RETURN NULL;
  END $$;
  ${Object.entries(WATCHED)
    .map(
      ([table, own]) =>
        `CREATE TRIGGER watched AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION watch.tell(${own.map((column) => `'${column}'`).join(', ')});`,
    )
    .join('\n  ')}
  CREATE TRIGGER watched AFTER UPDATE ON runners FOR EACH ROW
  WHEN (OLD.draining_since IS DISTINCT FROM NEW.draining_since) EXECUTE FUNCTION watch.tell();`;

/** A coordinator, keys for all callers, and things of all owners. */
export class Stage {
  private constructor(
    readonly coordinator: Awaited<ReturnType<typeof startCoordinator>>,
    private readonly apis: Map<Caller, Api>,
    private readonly ben: Api,
  ) {}

  static async open(): Promise<Stage> {
    // Nobody is throttled, so that each route is seen to refuse.
    const coordinator = await startCoordinator({
      access: { failedLoginsPerMinute: 1_000_000 },
      webhooks: { mostPerOwner: 10_000 },
      maxSchedules: 10_000,
      objects: {
        ...{ bucket: 'jobs', prefix: '', region: 'us-east-1', endpoint: 'http://127.0.0.1:1', signedMs: 60_000 },
        ...{ accessKeyId: 'AKIATEST', secretAccessKey: 'secret', maxBytes: 1_000_000 },
      },
    });
    const {
      api,
      sql,
      app: { loops },
    } = coordinator;
    // What changes is changed by calls alone.
    await Promise.all(
      [
        loops.bulk,
        loops.alerts,
        loops.schedules,
        loops.tickPrune,
        loops.due,
        loops.retention,
        loops.outbox,
        loops.deliveries,
        loops.webhookTidy,
      ].map((loop) => loop.stop()),
    );
    expectStatus(
      await api.call('put', '/queues/mine', { json: { userRateLimit: { max: 100_000, perMs: 3_600_000 } } }),
      200,
    );
    const apis = new Map<Caller, Api>([
      ['nobody', api.as(null)],
      ['unknown', api.as(`baton_${'a'.repeat(12)}_${'b'.repeat(34)}`)],
    ]);
    for (const role of ROLES) {
      const limits = role === 'user' ? { userId: 'ann' } : role === 'runner' ? { queues: ['mine'] } : {};
      apis.set(role, api.as(await api.makeKey({ name: role, role, ...limits })));
    }
    for (const [caller, end] of [
      ['expired', 'expires_at'],
      ['revoked', 'revoked_at'],
    ] as const) {
      const made = expectStatus(await api.post<CreatedApiKey>('/api-keys', { name: caller, role: 'admin' }), 201);
      await sql.query(`UPDATE api_keys SET ${end} = now() WHERE id = $1`, [made.id]);
      apis.set(caller, api.as(made.key));
    }
    await sql.query(WATCH);
    return new Stage(coordinator, apis, api.as(await api.makeKey({ name: 'ben', role: 'user', userId: 'ben' })));
  }

  get sql() {
    return this.coordinator.sql;
  }

  /** The id of an object that this job names. */
  async objectOf(jobId: string): Promise<string> {
    const { id } = await this.sql.one<{ id: string }>(
      "INSERT INTO objects (id, sha256, bytes) VALUES (gen_random_uuid(), repeat('a', 64), 5) RETURNING id",
    );
    await this.sql.query('INSERT INTO object_uses (object_id, job_id) VALUES ($1, $2)', [id, jobId]);
    return id;
  }

  api(caller: Caller): Api {
    const api = this.apis.get(caller);
    if (api === undefined) throw new Error(`there is no key for ${caller}`);
    return api;
  }

  /** Who may make things for this owner: its user, or for nobody an admin. */
  apiOf(owner: Owner): Api {
    return owner === 'ann' ? this.api('user') : owner === 'ben' ? this.ben : this.api('admin');
  }

  async job(owner: Owner, state: State, more: Partial<CreateJob> = {}): Promise<Thing> {
    const { job, claimed } = await jobIn(state, this.coordinator, {
      queue: QUEUE_OF(owner),
      ...(owner === null ? {} : { userId: owner }),
      ...more,
    });
    const { fingerprint } = await this.sql.one<{ fingerprint: string | null }>(
      'SELECT fingerprint FROM jobs WHERE id = $1',
      [job.id],
    );
    return {
      id: job.id,
      type: job.type,
      queue: job.queue,
      userId: owner ?? 'nobody',
      runnerId: `runner-of-${job.type}`,
      leaseToken: claimed?.leaseToken ?? randomUUID(),
      fingerprint: fingerprint ?? 'none',
    };
  }

  async webhook(owner: Owner): Promise<Thing> {
    const made = await this.apiOf(owner).post<{ id: string }>('/webhooks', {
      url: 'https://hooks.example.com/',
      events: ['job.completed'],
    });
    return { id: expectStatus(made, 201).id };
  }

  async schedule(owner: Owner, more: Partial<CreateSchedule> = {}): Promise<Thing> {
    const name = uniqueType('schedule');
    const made = await this.apiOf(owner).post<{ id: string }>('/schedules', {
      name,
      cron: '0 0 1 1 *',
      job: { type: name, queue: QUEUE_OF(owner) },
      ...more,
    });
    return { id: expectStatus(made, 201).id, name, userId: owner ?? 'nobody' };
  }

  /** A delivery that ended, of a webhook or (without one) of a job's callback. */
  async delivery(of: { webhookId: string } | { jobId: string }): Promise<string> {
    const [webhookId, jobId, url] =
      'webhookId' in of ? [of.webhookId, null, null] : [null, of.jobId, 'https://hooks.example.com/'];
    const { id } = await this.sql.one<{ id: string }>(
      `INSERT INTO webhook_deliveries (id, webhook_id, job_id, url, endpoint, name, at, data, status, next_at, created_at, finished_at)
      VALUES (gen_random_uuid(), $1, $2, $3, 'webhook:' || gen_random_uuid(), 'job.completed', now(), '{}', 'delivered', now(), now(), now()) RETURNING id`,
      [webhookId, jobId, url],
    );
    return id;
  }

  async key(): Promise<CreatedApiKey> {
    return expectStatus(
      await this.api('admin').post<ApiKey & { key: string }>('/api-keys', { name: 'thing', role: 'viewer' }),
      201,
    );
  }

  async alert(): Promise<string> {
    return expectStatus(
      await this.api('admin').post<{ id: string }>('/alerts', {
        name: uniqueType('alert'),
        measure: 'depth',
        threshold: 1_000_000,
      }),
      201,
    ).id;
  }

  async runner(): Promise<string> {
    const runnerId = uniqueType('runner');
    await this.api('admin').claim({ runnerId, types: ['none'] });
    return runnerId;
  }

  /** A moment, for `changesSince`. */
  async now(): Promise<string> {
    return (await this.sql.one<{ nth: string }>('SELECT coalesce(max(nth), 0) AS nth FROM watch.changes')).nth;
  }

  /** The rows that calls have changed since; nothing when there is none. */
  async changesSince(moment: string): Promise<string[]> {
    const changes = await this.sql.query<{ told: string }>(
      'SELECT told FROM watch.changes WHERE nth > $1 ORDER BY nth',
      [moment],
    );
    return changes.map(({ told }) => told);
  }

  /** What the audit tells of a call. */
  async actsOf(requestId: string): Promise<string[]> {
    return (
      await this.sql.query<{ action: string }>('SELECT action FROM audit_log WHERE request_id = $1 ORDER BY id', [
        requestId,
      ])
    ).map(({ action }) => action);
  }

  /** Runs `work` while nothing can be added to the audit. */
  async withoutAudit<T>(work: () => Promise<T>): Promise<T> {
    await this.sql.query('ALTER TABLE audit_log ADD CONSTRAINT closed CHECK (false) NOT VALID');
    try {
      return await work();
    } finally {
      await this.sql.query('ALTER TABLE audit_log DROP CONSTRAINT closed');
    }
  }
}
