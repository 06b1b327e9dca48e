import { createHash, randomUUID } from 'node:crypto';
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

/** All that stands in the database, but for what loops and clocks change by themselves. */
const PRINT = `
  SELECT 'jobs' AS name, json_agg(to_jsonb(j) - 'position' - 'hold' - 'updated_at' ORDER BY j.id)::text AS rows FROM jobs j
  UNION ALL SELECT 'dependencies', json_agg(d ORDER BY d.job_id, d.parent_id)::text FROM dependencies d
  UNION ALL SELECT 'attempts', json_agg(a ORDER BY a.job_id, a.attempt)::text FROM attempts a
  UNION ALL SELECT 'logs', json_agg(l ORDER BY l.job_id, l.seq)::text FROM job_logs l
  UNION ALL SELECT 'keys', json_agg(to_jsonb(k) - 'last_used_at' ORDER BY k.id)::text FROM api_keys k
  UNION ALL SELECT 'queues', json_agg(q ORDER BY q.name)::text FROM queues q
  UNION ALL SELECT 'runners', json_agg(r.draining_since ORDER BY r.id) FILTER (WHERE r.draining_since IS NOT NULL)::text FROM runners r
  UNION ALL SELECT 'operations', json_agg(b ORDER BY b.id)::text FROM bulk_operations b
  UNION ALL SELECT 'sessions', json_agg(s ORDER BY s.token_hash)::text FROM sessions s
  UNION ALL SELECT 'links', json_agg(l ORDER BY l.token_hash)::text FROM session_links l
  UNION ALL SELECT 'idempotency keys', json_agg(i ORDER BY i.scope, i.key)::text FROM idempotency_keys i
  UNION ALL SELECT 'batches', json_agg(b ORDER BY b.id)::text FROM batches b
  UNION ALL SELECT 'alerts', json_agg(a ORDER BY a.id)::text FROM alerts a
  UNION ALL SELECT 'schedules', json_agg(s ORDER BY s.id)::text FROM schedules s
  UNION ALL SELECT 'ticks', json_agg(t ORDER BY t.schedule_id, t.nth)::text FROM schedule_ticks t
  UNION ALL SELECT 'webhooks', json_agg(w ORDER BY w.id)::text FROM webhooks w
  UNION ALL SELECT 'deliveries', json_agg(d ORDER BY d.id)::text FROM webhook_deliveries d
  UNION ALL SELECT 'secrets', json_agg(s ORDER BY s.id)::text FROM signing_secrets s
  UNION ALL SELECT 'audit', json_agg(a ORDER BY a.id)::text FROM audit_log a`;

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
    return new Stage(coordinator, apis, api.as(await api.makeKey({ name: 'ben', role: 'user', userId: 'ben' })));
  }

  get sql() {
    return this.coordinator.sql;
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

  /** The same as long as nothing was changed. */
  async print(): Promise<Record<string, string>> {
    const rows = await this.sql.query<{ name: string; rows: string | null }>(PRINT);
    return Object.fromEntries(
      rows.map(({ name, rows: text }) => [
        name,
        createHash('sha1')
          .update(text ?? '')
          .digest('hex'),
      ]),
    );
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
