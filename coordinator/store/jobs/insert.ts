import { Prisma } from '../../generated/prisma/client';
import { type Executor, type Sql, sql } from '../db';
import { insertEvents } from '../events';
import { bucketOf, keyTokensAt } from '../limits';
import { isoTime, uuidList } from '../values';
import { claimHash, type Slot } from './claim';
import { type FieldName, fieldsSetBy, type FieldsSetBy, JOB_FIELDS } from './fields';
import { BLOCKS_ORDER, openOfKey, readyOfKey } from './holds';
import { leaseTimes } from './lease-times';
import { DECIDED_BESIDES, type InsertedJob, type InsertJob, type Lease, SENT_BESIDES } from './new-job';
import { type LaneFrom, positioned } from './promote';

/** The idempotency key of a whole call. */
export interface BulkKey {
  /** The user it belongs to; empty for callers without one. */
  scope: string;
  key: string;
  requestHash: string;
}

/** A waiting claim that this job may go to at once. */
export interface Offer extends Slot {
  jobId: string;
}

/**
 * (none) -> pending; running, when it is offered to a waiting claim and no pause or limit forbids it; or blocked, when
 * it waits for another job. A job whose idempotency key was used before is not stored, and so not returned; when the
 * key of the call was used before, none are. A `runAt` in the past means now, so that no job overtakes waiting ones. A
 * job that is due gets its position at once; one whose key is busy is held.
 *
 * The statement has only the parts that the batch needs: checking keys and turns when no job has any takes as long as
 * storing the jobs.
 */
export async function insert(
  db: Executor,
  jobs: InsertJob[],
  ready: LaneFrom[],
  offers: Offer[] = [],
  call?: BulkKey,
): Promise<InsertedJob[]> {
  const needs = needsOf(jobs, offers);
  const { areOffered, areRelated } = needs;
  const shape = areOffered ? OFFERED : PLAIN;
  const rows = await db.query<Omit<InsertedJob, 'lease'> & Partial<Lease>>(sql`
    WITH input AS MATERIALIZED (
      SELECT i.*, row_number() OVER () AS ord,
        GREATEST(now(), i."runAt", now() + i."delayMs" * interval '1 ms') AS run_at
      FROM json_to_recordset(${JSON.stringify(areRelated ? jobs.map(withRelations) : jobs)}::json) AS i (
        ${INPUT_COLUMNS}${areRelated ? sql`, ${RELATED.input}` : sql``})
    ), ${freshOf(needs, jobs, call)}
    , ${needs.mayBeHeld ? checked(areRelated) : UNCHECKED}
    , ${needs.takesTurns ? inTurns(ready, areRelated) : byTime(areRelated)}
    ${areOffered ? handedOver(offers) : sql``}
    , stored AS (
      INSERT INTO jobs (${shape.columns}, ${areRelated ? sql`${RELATED.columns}, ` : sql``}status)
      SELECT ${shape.values}, ${areRelated ? sql`${RELATED.values}, ` : sql``}${statusOf(areOffered, areRelated)}
      FROM (SELECT * FROM ${areOffered ? sql`handed` : sql`ready`} ORDER BY ord) u
      RETURNING id, type, queue, user_id AS "userId", status, attempt, runner_id AS "runnerId",
        run_at AS "runAt", created_at AS "createdAt", unique_until AS "uniqueUntil", position, hold,
        order_seq AS "orderSeq", extract(epoch FROM run_at - now())::float8 * 1000 AS "dueInMs"
        ${areOffered ? STORED_LEASE : sql``}
    ), ${areOffered ? insertEvents(CREATED_AND_CLAIMED, sql`e.event`) : insertEvents(sql`stored`, sql`'job.created'`)}
    ${answerOf(needs, call)}`);
  const [first] = rows;
  if (first === undefined) return [];
  if (needs.areAlike) return jobs.map(({ id }) => ({ ...first, id, lease: null }));
  return rows.map((row) => ({ ...row, lease: leaseOf(row) }));
}

/** Which parts of the statement a batch needs. */
interface Needs {
  areOffered: boolean;
  /** Some depend on others, or belong to a group. */
  areRelated: boolean;
  hasIdempotency: boolean;
  /** Some have an order key or a concurrency key, which may hold them. */
  mayBeHeld: boolean;
  /** Some take turns with others, by their user or key. */
  takesTurns: boolean;
  /** The database adds nothing but the same time to each, so one returned row answers for all. */
  areAlike: boolean;
}

function needsOf(jobs: InsertJob[], offers: Offer[]): Needs {
  const areOffered = offers.length > 0;
  const areRelated = jobs.some((job) => job.relations !== undefined);
  const hasIdempotency = jobs.some((job) => job.idempotencyKey !== undefined);
  const mayBeHeld = jobs.some((job) => job.orderKey !== undefined || job.concurrencyKey !== undefined);
  const takesTurns = jobs.some((job) => job.userId !== undefined || job.concurrencyKey !== undefined);
  const isPlain = !areOffered && !areRelated && !hasIdempotency && !mayBeHeld && !takesTurns;
  return { areOffered, areRelated, hasIdempotency, mayBeHeld, takesTurns, areAlike: isPlain && jobs.every(isNow) };
}

/** A CTE, `fresh`: the jobs whose idempotency key, or that of the call, was not used before. */
function freshOf({ hasIdempotency }: Needs, jobs: InsertJob[], call: BulkKey | undefined): Sql {
  if (call !== undefined) return freshBy(call, jobs);
  return hasIdempotency ? FRESH : sql`fresh AS (SELECT * FROM input)`;
}

const UNCHECKED = sql`checked AS (SELECT f.*, NULL::job_hold AS hold FROM fresh f)`;

/** A CTE, `ready`: due jobs get the time when they became due as their position. */
function byTime(areRelated: boolean): Sql {
  return sql`ready AS (
      SELECT u.*, CASE WHEN u.hold IS NULL AND ${isDue('u', areRelated)} THEN u.run_at END AS position FROM checked u
    )`;
}

const STORED_LEASE = sql`, lease_token AS "leaseToken", lease_expires_at::text AS "leaseExpiresAt",
        deadline_at::text AS "deadlineAt"`;

function answerOf({ areAlike, areOffered }: Needs, call: BulkKey | undefined): Sql {
  if (areAlike) return call === undefined ? ONE_OF_STORED : sql`${ONE_OF_STORED} WHERE ${IS_FRESH}`;
  const lease = areOffered ? sql`, "runnerId", "leaseToken", "leaseExpiresAt", "deadlineAt"` : sql``;
  return sql`SELECT id, "runAt", "createdAt", "uniqueUntil", position, hold, "orderSeq", "dueInMs" ${lease}
      FROM stored`;
}

function leaseOf({ runnerId, leaseToken, leaseExpiresAt, deadlineAt }: Partial<Lease>): Lease | null {
  if (!runnerId || !leaseToken || !leaseExpiresAt || !deadlineAt) return null;
  return { runnerId, leaseToken, leaseExpiresAt: isoTime(leaseExpiresAt), deadlineAt: isoTime(deadlineAt) };
}

/** Decides which offered jobs go to their claims: those that the claims could claim now if they were already stored. */
function handedOver(offers: Offer[]): Sql {
  const named = offers.map((offer) => ({ ...offer, claimHash: claimHash(offer) }));
  return sql`, offered AS MATERIALIZED (
      SELECT o.* FROM json_to_recordset(${JSON.stringify(named)}::json) AS o ("jobId" uuid, "runnerId" text,
        "claimHash" bigint, "leaseMs" int)
      -- A repeated claim gets only the jobs that it got before.
      WHERE o."claimHash" IS NULL OR (
        SELECT true FROM jobs j WHERE j.status = 'running' AND j.runner_id = o."runnerId"
          AND j.claim_hash = o."claimHash" LIMIT 1) IS NULL
    ), handed AS MATERIALIZED (
      -- Not now(): the transaction may have waited for the locks of keys since it began, and leases start here.
      SELECT r.*, o."runnerId", o."claimHash", o."leaseMs", clock_timestamp() AS "startedAt",
        COALESCE(o."jobId" IS NOT NULL AND r.position IS NOT NULL AND r.run_at <= now()
          AND (r."expiresAt" IS NULL OR r."expiresAt" > now())
        AND (q.paused_at IS NULL OR q.paused_until <= now()) AND q.concurrency IS NULL
          AND q.concurrency_per_key IS NULL AND q.rate_max IS NULL AND q.key_rate_max IS NULL, false) AS "isHanded"
      FROM ready r LEFT JOIN offered o ON o."jobId" = r.id LEFT JOIN queues q ON q.name = r.queue
    )`;
}

const BROUGHT = fieldsSetBy('client', 'create');

/** Columns of the batch as a table. Arrays and smallints are read as JSON has them. */
const INPUT_COLUMNS = Prisma.raw(
  [
    ...BROUGHT.map(([name, { type }]) => [name, type === 'text[]' ? 'json' : type === 'smallint' ? 'int' : type]),
    ...Object.entries({ ...SENT_BESIDES, ...DECIDED_BESIDES }),
  ]
    .map(([name, type]) => `"${name}" ${type}`)
    .join(', '),
);

/** Fields that the statement itself computes for job `u`, beside its status. */
const COMPUTED: Record<Exclude<FieldsSetBy<'insert'>, 'status'>, Sql> = {
  runAt: sql`u.run_at`,
  position: sql`u.position`,
  hold: sql`u.hold`,
  orderSeq: sql`CASE WHEN u."orderKey" IS NOT NULL THEN nextval('jobs_order_seq') END`,
  uniqueUntil: sql`now() + u."uniqueForMs" * interval '1 ms'`,
  createdAt: sql`now()`,
  updatedAt: sql`now()`,
};

const HANDED_TIMES = leaseTimes(sql`u."startedAt"`, sql`u."leaseMs"`, sql`u."timeoutMs"`);

/** Fields that a job handed over to a waiting claim gets from that claim. */
const HANDED: Record<FieldsSetBy<'claim'>, Sql> = {
  attempt: sql`u."isHanded"::int`,
  runnerId: whenHanded(sql`u."runnerId"`),
  claimHash: whenHanded(sql`u."claimHash"`),
  leaseToken: whenHanded(sql`gen_random_uuid()`),
  leaseMs: whenHanded(sql`u."leaseMs"`),
  leaseExpiresAt: whenHanded(HANDED_TIMES.leaseExpiresAt),
  deadlineAt: whenHanded(HANDED_TIMES.deadlineAt),
  startedAt: whenHanded(sql`u."startedAt"`),
};

function whenHanded(value: Sql): Sql {
  return sql`CASE WHEN u."isHanded" THEN ${value} END`;
}

const COLUMNS = columnList([...BROUGHT.map(([name]) => name), ...namesOf(COMPUTED)]);
const VALUES = Prisma.join([
  ...BROUGHT.map(([name, { type }]) =>
    Prisma.raw(type === 'text[]' ? `ARRAY(SELECT json_array_elements_text(u."${name}"))` : `u."${name}"`),
  ),
  ...Object.values(COMPUTED),
]);
const PLAIN = { columns: COLUMNS, values: VALUES };
const OFFERED = {
  columns: sql`${columnList(namesOf(HANDED))}, ${COLUMNS}`,
  values: sql`${Prisma.join(Object.values(HANDED))}, ${VALUES}`,
};

const RELATIONS = fieldsSetBy('relation');
const RELATED = {
  input: Prisma.raw(
    [
      ...RELATIONS.map(([name, { type }]) => `"${name}" ${type === 'uuid[]' ? 'json' : type}`),
      '"isBlocked" boolean',
    ].join(', '),
  ),
  columns: columnList(RELATIONS.map(([name]) => name)),
  values: Prisma.raw(
    RELATIONS.map(([name, { type }]) => {
      if (type === 'boolean') return `COALESCE(u."${name}", false)`;
      if (type !== 'uuid[]') return `u."${name}"`;
      return `CASE WHEN u."${name}" IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(u."${name}")::uuid) END`;
    }).join(', '),
  ),
};

function withRelations({ relations, ...job }: InsertJob): unknown {
  return { ...job, ...relations };
}

function statusOf(areOffered: boolean, areRelated: boolean): Sql {
  if (!areOffered && !areRelated) return sql`'pending'`;
  return sql`CASE ${areOffered ? sql`WHEN u."isHanded" THEN 'running'` : sql``} ${areRelated ? sql`WHEN u."isBlocked" THEN 'blocked'` : sql``}
        ELSE 'pending' END::job_status`;
}

/** Whether the job of this alias gets its position at once, if nothing holds it. */
function isDue(alias: 'u' | 'f', areRelated: boolean): Sql {
  const isBlocked = areRelated ? Prisma.raw(`AND ${alias}."isBlocked" IS NOT TRUE`) : sql``;
  return sql`(${Prisma.raw(alias)}.run_at <= now() ${isBlocked})`;
}

function columnList(names: FieldName[]): Sql {
  return Prisma.raw(names.map((name) => JOB_FIELDS[name].column).join(', '));
}

function namesOf(values: Partial<Record<FieldName, Sql>>): FieldName[] {
  return Object.keys(values) as FieldName[];
}

/** A job that was handed over has two events, in this order. */
const CREATED_AND_CLAIMED = sql`(
      SELECT s.id, s.type, s.queue, s."userId", n.event, CASE WHEN n.nth = 1 AND s.status = 'running' THEN 'pending'
        ELSE s.status END AS status,
        CASE n.nth WHEN 1 THEN 0 ELSE s.attempt END AS attempt, CASE n.nth WHEN 2 THEN s."runnerId" END AS "runnerId"
      FROM stored s CROSS JOIN (VALUES (1, 'job.created'), (2, 'job.claimed')) n (nth, event)
      WHERE n.nth = 1 OR s.status = 'running' ORDER BY n.nth
    )`;

function isNow({ runAt, delayMs, uniqueForMs }: InsertJob): boolean {
  return runAt === undefined && delayMs === undefined && uniqueForMs === undefined;
}

const ONE_OF_STORED = sql`SELECT NULL::uuid AS id, now() AS "runAt", now() AS "createdAt",
    NULL::timestamptz AS "uniqueUntil", now() AS position,
      NULL::job_hold AS hold, NULL::bigint AS "orderSeq", 0::float8 AS "dueInMs"`;

/** Jobs whose idempotency key was not used before. */
const FRESH = sql`keyed AS (
      -- In the order of the keys: two batches with the same keys wait for each other instead of deadlocking.
      INSERT INTO idempotency_keys (scope, key, request_hash, job_id)
      SELECT i."idempotencyScope", i."idempotencyKey", i."requestHash", i.id
      FROM input i WHERE i."idempotencyKey" IS NOT NULL ORDER BY 1, 2
      ON CONFLICT DO NOTHING
      RETURNING job_id
    ), fresh AS MATERIALIZED (
      SELECT i.* FROM input i WHERE i."idempotencyKey" IS NULL OR i.id IN (SELECT job_id FROM keyed)
    )`;

/** All jobs, or none if the key of the call was used before. */
function freshBy({ scope, key, requestHash }: BulkKey, jobs: InsertJob[]): Sql {
  return sql`keyed AS (
      INSERT INTO idempotency_keys (scope, key, request_hash, job_id, job_ids)
      SELECT ${scope}, ${key}, ${requestHash}, k.ids[1], k.ids
      FROM (SELECT ${uuidList(jobs.map(({ id }) => id))}::uuid[] AS ids) k
      ON CONFLICT DO NOTHING
      RETURNING job_id
    ), fresh AS MATERIALIZED (SELECT i.* FROM input i WHERE ${IS_FRESH})`;
}

const IS_FRESH = sql`EXISTS (SELECT FROM keyed)`;

/** Most ready jobs of a key that an insert counts against its rate, for each job. */
const MOST_COUNTED = 100;

/** Decides whether an order key or a concurrency key holds them. */
function checked(areRelated: boolean): Sql {
  const due = isDue('f', areRelated);
  const nth = sql`row_number() OVER (PARTITION BY f.queue, f."concurrencyKey", f."laneId" ORDER BY NOT ${due}, f.ord)`;
  const lane = {
    queue: sql`f.queue`,
    key: sql`f."concurrencyKey"`,
    laneId: sql`f."laneId"`,
    priority: sql`f.priority`,
  };
  return sql`checked AS MATERIALIZED (
      SELECT f.*, CASE
        WHEN f."orderKey" IS NOT NULL AND (
          row_number() OVER (PARTITION BY f.queue, f."orderKey" ORDER BY f.ord) > 1
          -- Not EXISTS: when the planner believes the table to be small, it would read it whole.
          OR (SELECT true FROM jobs j WHERE j.queue = f.queue AND j.order_key = f."orderKey" AND ${BLOCKS_ORDER}
            LIMIT 1) IS NOT NULL
        ) THEN 'order'::job_hold
        -- Only a due job: a held job must wait for nothing but its key.
        WHEN f."concurrencyKey" IS NOT NULL AND f.concurrency_per_key IS NOT NULL AND ${due}
          AND ${nth} + ${openOfKey({ ...lane, limit: sql`f.concurrency_per_key` })} > f.concurrency_per_key
        THEN 'key'::job_hold
        -- A claim holds those that this lets through. Counting more would take longer than holding them then.
        WHEN f."concurrencyKey" IS NOT NULL AND f.key_tokens IS NOT NULL AND ${due}
          AND (${nth} > f.key_tokens
            OR ${nth} + ${readyOfKey({ ...lane, limit: sql`LEAST(f.key_tokens, ${MOST_COUNTED})::bigint` })} > f.key_tokens)
        THEN 'key'::job_hold END AS hold
      FROM (
        SELECT i.*, q.concurrency_per_key, CASE WHEN q.key_rate_max IS NOT NULL
          THEN floor(${keyTokensAt({ q: sql`q`, fullAt: sql`b.full_at`, time: sql`clock_timestamp()` })}) END AS key_tokens
        FROM fresh i LEFT JOIN queues q ON q.name = i.queue ${bucketOf({ q: sql`q`, key: sql`i."concurrencyKey"` })}
      ) f
    )`;
}

/** A CTE, `ready`: due jobs get a position in their user's turn. */
function inTurns(ready: LaneFrom[], areRelated: boolean): Sql {
  return sql`due AS MATERIALIZED (
      SELECT u.id, u.queue, u.priority, u."laneId" AS lane_id, COALESCE(u."concurrencyKey", u."userId") AS turn_of,
        u.run_at, u.ord, u."laneFrom" AS lane_from,
        COALESCE(q.is_fair, true) AS is_fair
      FROM checked u LEFT JOIN queues q ON q.name = u.queue WHERE u.hold IS NULL AND ${isDue('u', areRelated)}
    ), ${positioned(ready)}, ready AS (SELECT u.*, p.position FROM checked u LEFT JOIN positioned p ON p.id = u.id)`;
}
