import { hash } from 'node:crypto';
import { type Executor, type Sql, sql } from '../db';
import { insertEvents } from '../events';
import { bucketOf, IS_OPEN, keyFullAfter, keyNextAt, keyTokensAt, roomOf, tokensAt } from '../limits';
import { isoTime } from '../values';
import type { FieldsReadBy, JobRow } from './fields';
import type { QueueKey } from './holds';
import { leaseTimes } from './lease-times';
import { CLAIMED_COLUMNS } from './row';

/** A lane to claim from, and the position before which, as far as is known, no job waits. */
export interface LaneStart {
  laneId: number;
  queue: string;
  priority: number;
  fromPosition: Date | null;
  fromId: string | null;
  /** Claims only jobs that have been due for this long: a lane that prefers other runners is left to them meanwhile. */
  dueForMs: number;
}

/** Room for one job. A runner that takes up to five jobs has five slots. */
export interface Slot {
  runnerId: string;
  claimId: string | null;
  leaseMs: number;
}

export type ClaimedRow = Omit<
  Pick<JobRow, FieldsReadBy<'claimed' | 'dispatch'>>,
  | 'arguments'
  | 'metadata'
  | 'checkpoint'
  | 'position'
  | 'runnerId'
  | 'leaseToken'
  | 'leaseMs'
  | 'leaseExpiresAt'
  | 'deadlineAt'
> & {
  /** JSON text as it is stored; it is passed to the runner without being parsed. */
  arguments: string;
  metadata: string | null;
  checkpoint: string | null;
  /** For a job with parents: how these ended, as JSON text. */
  dependencies?: string;
  position: Date;
  runnerId: string;
  leaseToken: string;
  leaseMs: number;
  /** ISO-8601. */
  leaseExpiresAt: string;
  deadlineAt: string;
  /** How long it was due before it was claimed. */
  waitMs: number;
  /** The index of its slot; for a repeated claim, of that claim's first slot. */
  slot: number;
  /** It was claimed earlier under this claim id, and the answer was lost. */
  repeated: boolean;
};

export interface Claims {
  claimed: ClaimedRow[];
  /** Keys of ready jobs over their limit: these are held now, and others have become ready. */
  heldBack: QueueKey[];
  /** Whether jobs were seen but not claimed, because another claim had locked them. */
  sawLocked: boolean;
  /** Whether jobs or repeated claims were left out because the payloads before them are large. */
  isByteLimited: boolean;
  /** Those of the locked queues that gave no jobs because they are paused, or a limit had no room. */
  closed: string[];
  /** Milliseconds until a key that started jobs now may start those of it that are held; null: none is held. */
  nextOfKeyInMs: number | null;
}

const NOTHING_FOUND = { heldBack: [], sawLocked: false, closed: [], nextOfKeyInMs: null };

/** Most bytes of payloads that one statement returns, or one job: this bounds answers and what waits to be sent. */
export const MOST_CLAIM_BYTES = 16 * 1024 * 1024;

/** Identifies the jobs of one claim of one runner. Eight bytes, because the index of running jobs contains it. */
export function claimHash({ runnerId, claimId }: Pick<Slot, 'runnerId' | 'claimId'>): string | null {
  if (claimId === null) return null;
  return hash('sha256', JSON.stringify([runnerId, claimId]), 'buffer')
    .readBigInt64BE()
    .toString();
}

/**
 * Bytes of the payloads of job `j` as text. Only compressed values must be read for this. Small rows have none, and the
 * length of others is known without reading them.
 */
const PAYLOAD_BYTES = sql`(${bytesOf(sql`j.arguments`)} + ${bytesOf(sql`j.metadata`)} + ${bytesOf(sql`j.checkpoint`)})`;

function bytesOf(payload: Sql): Sql {
  return sql`CASE WHEN ${payload} IS NULL THEN 0
      WHEN pg_column_compression(${payload}) IS NULL THEN pg_column_size(${payload})
      ELSE octet_length(${payload}::text) END`;
}

/**
 * pending -> running, for many runners at once: fills the slots in order of priority and position. Slots of a repeated
 * claim get the jobs that the claim got before.
 *
 * Paused queues give no jobs. Neither do queues with limits, unless `isLocked` says that this transaction has locked
 * their rows (`lockLimits`): then limits are counted from rows, and hold at every instant. Jobs over their key's limit
 * leave the index of ready jobs and are held, so that the next claim does not walk over them.
 *
 * The statement has only the parts that the batch needs: it is shorter without limits, with one lane, or for one claim.
 */
export async function claim(db: Executor, lanes: LaneStart[], slots: Slot[], isLocked: boolean): Promise<Claims> {
  const { claims, claimOf } = byClaim(slots);
  if (lanes.length === 0) return { ...NOTHING_FOUND, ...(await answered(db, claims)) };
  const source = isLocked ? fromLanesUnderLimits(lanes) : fromLanes(lanes);
  const whose = claimantsOf(claims, claimOf);
  const times = leaseTimes(sql`statement_timestamp()`, whose.leaseMs, sql`j.timeout_ms`);
  const rows = await db.query<Head & ClaimedRow>(sql`
    WITH ${claimedBefore(claims)}, wanted AS MATERIALIZED (
      SELECT CASE WHEN (SELECT true FROM again LIMIT 1) THEN 0 ELSE ${slots.length}::int END AS "count"
    ), ${source}, claimed AS (
      UPDATE jobs j SET
        status = 'running', attempt = j.attempt + 1, runner_id = ${whose.runnerId}, claim_hash = ${whose.claimHash},
        lease_token = gen_random_uuid(), lease_ms = ${whose.leaseMs},
        -- Not now(): the transaction may have waited for the locks of limits since it began, and leases start here.
        lease_expires_at = ${times.leaseExpiresAt}, deadline_at = ${times.deadlineAt},
        started_at = statement_timestamp(), updated_at = statement_timestamp(), progress = NULL, metrics = NULL
      FROM taken p
      -- The rows are locked, so they are found by ctid, without an index. A row that a concurrent commit has moved is
      -- skipped, and found by the next claim.
      WHERE j.ctid = p.tid AND j.id = p.id AND j.status = 'pending' AND p."bytesBefore" < ${MOST_CLAIM_BYTES}
      RETURNING ${CLAIMED_COLUMNS}, p."rank" - 1 AS "slot"
    ), ${isLocked ? sql`${SPENT}, ${SPENT_OF_KEYS}, ` : sql``} ${insertEvents(sql`claimed`, sql`'job.claimed'`, { status: sql`'running'` })}
    SELECT h.*, c.* FROM (SELECT (SELECT array_agg(nth::int) FROM again) AS "again",
      ${SAW_LOCKED[isLocked || lanes.length > 1 ? 'of many' : 'of one']} AS "sawLocked",
      EXISTS (SELECT FROM taken p WHERE p."bytesBefore" >= ${MOST_CLAIM_BYTES}) AS "isByteLimited",
      ${isLocked ? OF_LIMITS : sql`NULL::text[] AS "closed", NULL::float8 AS "nextOfKeyInMs"`}) h
    LEFT JOIN (SELECT * FROM claimed ${isLocked ? sql`UNION ALL SELECT * FROM held_back` : sql``}) c ON true`);
  const again = rows[0]?.again ?? null;
  if (again !== null) return claimBeside(db, lanes, slots, isLocked, claims, claimOf, new Set(again));
  return foundIn(rows);
}

function foundIn(rows: (Head & ClaimedRow)[]): Claims {
  const found: Claims = {
    claimed: [],
    heldBack: [],
    sawLocked: rows[0]?.sawLocked === true,
    isByteLimited: rows[0]?.isByteLimited === true,
    closed: rows[0]?.closed ?? [],
    nextOfKeyInMs: rows[0]?.nextOfKeyInMs ?? null,
  };
  for (const { again: _again, sawLocked: _sawLocked, isByteLimited: _isByteLimited, ...more } of rows) {
    const { closed: _closed, nextOfKeyInMs: _nextOfKeyInMs, ...row } = more;
    if (row.id === null) continue;
    if (row.slot >= 0) found.claimed.push(told(row, false));
    else if (row.concurrencyKey !== null) found.heldBack.push({ queue: row.queue, key: row.concurrencyKey });
  }
  // Rows may be returned in any order.
  found.claimed.sort((a, b) => a.slot - b.slot);
  return found;
}

interface Head {
  /** Numbers of the claims that were answered before, from 1. If there are any, nothing was claimed. */
  again: number[] | null;
  sawLocked: boolean;
  isByteLimited: boolean;
  closed: string[] | null;
  nextOfKeyInMs: number | null;
}

/**
 * Some of the claims were answered before: these get the same jobs again, and the others are claimed for without them.
 */
async function claimBeside(
  db: Executor,
  lanes: LaneStart[],
  slots: Slot[],
  isLocked: boolean,
  claims: AskedClaim[],
  claimOf: number[],
  again: Set<number>,
): Promise<Claims> {
  const repeated = await answered(
    db,
    claims.filter((_claim, index) => again.has(index + 1)),
  );
  const left = slots.flatMap((slot, index) => (again.has(claimOf[index] ?? 0) ? [] : [{ slot, index }]));
  if (left.length === 0 || repeated.isByteLimited) return { ...NOTHING_FOUND, ...repeated };
  const others = await claim(
    db,
    lanes,
    left.map(({ slot }) => slot),
    isLocked,
  );
  for (const row of others.claimed) row.slot = left[row.slot]?.index ?? row.slot;
  return { ...others, claimed: [...repeated.claimed, ...others.claimed] };
}

/** Running jobs of these claims, whose answers were lost; all jobs of a claim, or none. */
async function answered(db: Executor, claims: AskedClaim[]): Promise<Pick<Claims, 'claimed' | 'isByteLimited'>> {
  const named = claims.filter(({ claimId }) => claimId !== null);
  if (named.length === 0) return { claimed: [], isByteLimited: false };
  const rows = await db.query<{ isByteLimited: boolean } & ClaimedRow>(sql`
    WITH found AS MATERIALIZED (
      SELECT own.id, a."slot", own.bytes FROM unnest(
        ${named.map((one) => one.runnerId)}::text[], ${named.map(claimHash)}::bigint[],
        ${named.map((one) => one.firstSlot)}::int[]
      ) AS a ("runnerId", "claimHash", "slot")
      -- The limit keeps the planner from reading all running jobs at once instead of probing for each claim.
      CROSS JOIN LATERAL (SELECT j.id, ${PAYLOAD_BYTES} AS bytes FROM jobs j
        WHERE ${ofClaim(sql`a."runnerId"`, sql`a."claimHash"`)} LIMIT 1000) own
    ), held AS MATERIALIZED (
      SELECT f.id, f."slot",
        sum(f.bytes) OVER (ORDER BY f."slot" RANGE UNBOUNDED PRECEDING EXCLUDE GROUP) AS "bytesBefore" FROM found f
    )
    SELECT ${CLAIMED_COLUMNS}, held."slot",
      EXISTS (SELECT FROM held WHERE "bytesBefore" >= ${MOST_CLAIM_BYTES}) AS "isByteLimited"
    FROM held JOIN jobs j ON j.id = held.id WHERE COALESCE(held."bytesBefore", 0) < ${MOST_CLAIM_BYTES}`);
  return {
    claimed: rows.map(({ isByteLimited: _isByteLimited, ...row }) => told(row, true)),
    isByteLimited: rows[0]?.isByteLimited === true,
  };
}

function ofClaim(runnerId: Sql, hashed: Sql): Sql {
  return sql`j.runner_id = ${runnerId} AND j.claim_hash = ${hashed} AND j.status = 'running'`;
}

function told(row: ClaimedRow, repeated: boolean): ClaimedRow {
  row.leaseExpiresAt = isoTime(row.leaseExpiresAt);
  row.deadlineAt = isoTime(row.deadlineAt);
  row.repeated = repeated;
  return row;
}

interface AskedClaim extends Slot {
  firstSlot: number;
}

/**
 * The claims of the slots, and for each slot the number of its claim, from 1. Without a claim id each slot is a claim
 * of its own.
 */
function byClaim(slots: Slot[]): { claims: AskedClaim[]; claimOf: number[] } {
  const claims: AskedClaim[] = [];
  const known = new Map<string, number>();
  // Most slots of a claim are the same object, so its name is seldom computed.
  const seen = new Map<Slot, number>();
  const claimOf = slots.map((slot, firstSlot) => {
    if (slot.claimId === null) return claims.push({ ...slot, firstSlot });
    let nth = seen.get(slot);
    if (nth === undefined) {
      const name = JSON.stringify([slot.runnerId, slot.claimId]);
      nth = known.get(name) ?? claims.push({ ...slot, firstSlot });
      known.set(name, nth);
      seen.set(slot, nth);
    }
    return nth;
  });
  return { claims, claimOf };
}

/** A CTE, `again`: numbers of the claims that have running jobs, from 1. */
function claimedBefore(claims: AskedClaim[]): Sql {
  return sql`again AS MATERIALIZED (
      SELECT a."nth" FROM unnest(
        ${claims.map((one) => one.runnerId)}::text[], ${claims.map(claimHash)}::bigint[]
      ) WITH ORDINALITY AS a ("runnerId", "claimHash", "nth")
      WHERE (SELECT true FROM jobs j WHERE ${ofClaim(sql`a."runnerId"`, sql`a."claimHash"`)} LIMIT 1)
    )`;
}

/** The claim that gets a job of the CTE `taken`, alias `p`. */
function claimantsOf(claims: AskedClaim[], claimOf: number[]): { runnerId: Sql; claimHash: Sql; leaseMs: Sql } {
  const [only] = claims;
  if (only !== undefined && claims.length === 1)
    return {
      runnerId: sql`${only.runnerId}::text`,
      claimHash: sql`${claimHash(only)}::bigint`,
      leaseMs: sql`${only.leaseMs}::int`,
    };
  // Arrays indexed by the rank of a job among those taken, because a join would depend on an estimate. The claim of a
  // slot is a number, because finding an element of a text array walks over the elements before it.
  const nth = sql`(${claimOf}::int[])[p."rank"]`;
  return {
    runnerId: sql`(${claims.map((one) => one.runnerId)}::text[])[${nth}]`,
    claimHash: sql`(${claims.map(claimHash)}::bigint[])[${nth}]`,
    leaseMs: sql`(${claims.map((one) => one.leaseMs)}::int[])[${nth}]`,
  };
}

const SAW_LOCKED = {
  'of one': sql`false`,
  'of many': sql`COALESCE((SELECT sum(q."wanted") FROM quota q), 0) > (SELECT count(*) FROM picked)`,
};

const IS_UNLIMITED = sql`q.concurrency IS NULL AND q.concurrency_per_key IS NULL AND q.rate_max IS NULL
    AND q.key_rate_max IS NULL`;

/** CTEs from `lane` to `taken`, of queues without limits. */
function fromLanes(lanes: LaneStart[]): Sql {
  const [only] = lanes;
  if (only !== undefined && lanes.length === 1) return fromLane(only);
  return sql`lane AS MATERIALIZED (
      SELECT l.* FROM ${laneStarts(lanes)} LEFT JOIN queues q ON q.name = l."queue" WHERE ${IS_OPEN} AND ${IS_UNLIMITED}
    ), quota AS MATERIALIZED (
      -- How many jobs each lane gives, read without locking: locking the wanted number in every lane would keep other
      -- claims from jobs that this claim does not take.
      SELECT best."laneId", count(*) AS "wanted"
      FROM (
        SELECT l."laneId" FROM lane l CROSS JOIN LATERAL (
          SELECT j.position, j.id FROM jobs j
          WHERE ${inTurn(sql`l`)} ORDER BY j.position, j.id LIMIT (SELECT "count" FROM wanted)
        ) head
        ORDER BY l."priority" DESC, head.position, head.id LIMIT (SELECT "count" FROM wanted)
      ) best GROUP BY 1
    ), picked AS MATERIALIZED (
      -- Materialised: otherwise the planner may run the locking subquery again for each row of the join, and lock too
      -- many.
      SELECT head.id, head.tid, l."priority", head.position, head.bytes
      FROM quota q JOIN lane l ON l."laneId" = q."laneId" CROSS JOIN LATERAL (
        SELECT j.position, j.id, j.ctid AS tid, ${PAYLOAD_BYTES} AS bytes FROM jobs j
        WHERE ${inTurn(sql`l`)} AND (j.expires_at IS NULL OR j.expires_at > now())
        ORDER BY j.position, j.id LIMIT q."wanted" FOR UPDATE SKIP LOCKED
      ) head
    ), ${takenFrom(sql`picked p`, sql`p."priority" DESC, p.position, p.id`)}`;
}

/** For a single lane, which is half the work, because nothing is distributed over lanes. */
function fromLane({ laneId, queue, fromPosition, fromId, dueForMs }: LaneStart): Sql {
  return sql`picked AS MATERIALIZED (
      SELECT j.id, j.ctid AS tid, j.position, ${PAYLOAD_BYTES} AS bytes FROM jobs j
      WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = ${laneId}::int
        AND j.position <= now() - ${dueForMs}::float8 * interval '1 ms'
        AND (j.position, j.id) >= (${fromPosition ?? '-infinity'}::timestamptz, ${fromId ?? FIRST_ID}::uuid)
        AND (j.expires_at IS NULL OR j.expires_at > now())
        AND (SELECT true FROM queues q WHERE q.name = ${queue} AND (${IS_OPEN} AND ${IS_UNLIMITED}) IS NOT TRUE) IS NULL
      ORDER BY j.position, j.id LIMIT (SELECT "count" FROM wanted) FOR UPDATE SKIP LOCKED
    ), ${takenFrom(sql`picked p`, sql`p.position, p.id`)}`;
}

/** The CTE `taken`: the rows of alias `p` in order, each with the bytes of those before it. */
function takenFrom(picked: Sql, order: Sql): Sql {
  return sql`taken AS MATERIALIZED (
      SELECT p.id, p.tid, row_number() OVER one_by_one AS "rank",
        sum(p.bytes) OVER one_by_one - p.bytes AS "bytesBefore"
      FROM ${picked} WINDOW one_by_one AS (ORDER BY ${order} ROWS UNBOUNDED PRECEDING)
    )`;
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** CTEs from `lane` to `taken` and `held_back`, of queues whose rows are locked. */
function fromLanesUnderLimits(lanes: LaneStart[]): Sql {
  return sql`ruled AS MATERIALIZED (
      -- Once for each queue: the clock moves on between two rows, but the lanes of one queue must see the same bucket.
      SELECT q.name, q.concurrency, q.concurrency_per_key, q.rate_max, q.key_rate_max, q.key_rate_per_ms, q.paused_at,
        q.paused_until, q.at,
        ${tokensAt(sql`q.at`)} AS tokens
      FROM (SELECT *, clock_timestamp() AS at FROM queues
        WHERE name = ANY (${[...new Set(lanes.map((lane) => lane.queue))]}::text[]) OFFSET 0) q
    ), allowance AS MATERIALIZED (
      SELECT q.name AS "queue", ${roomOf(sql`q.tokens`)} AS room
      FROM ruled q WHERE q.concurrency IS NOT NULL OR q.rate_max IS NOT NULL
    ), lane AS MATERIALIZED (
      -- Lanes of paused and of full queues are not looked into.
      SELECT l.*, q.concurrency_per_key AS "perKey", a.room::bigint AS room
      FROM ${laneStarts(lanes)} LEFT JOIN ruled q ON q.name = l."queue" LEFT JOIN allowance a ON a."queue" = l."queue"
      WHERE ${IS_OPEN} AND (a.room IS NULL OR a.room >= 1)
    ), quota AS MATERIALIZED (
      -- As above, and no more from each queue than its allowance.
      SELECT best."laneId", count(*) AS "wanted"
      FROM (
        SELECT ranked."laneId" FROM (
          SELECT l."laneId", l."priority", l.room, head.position, head.id,
            row_number() OVER (PARTITION BY l."queue" ORDER BY l."priority" DESC, head.position, head.id) AS nth
          FROM lane l CROSS JOIN LATERAL (
            SELECT j.position, j.id FROM jobs j
            WHERE ${inTurn(sql`l`)} ORDER BY j.position, j.id LIMIT LEAST((SELECT "count" FROM wanted), l.room)
          ) head
        ) ranked
        WHERE ranked.room IS NULL OR ranked.nth <= ranked.room
        ORDER BY ranked."priority" DESC, ranked.position, ranked.id LIMIT (SELECT "count" FROM wanted)
      ) best GROUP BY 1
    ), picked AS MATERIALIZED (
      SELECT head.id, head.tid, l."queue", l."perKey", head.concurrency_key, l."priority", head.position, head.bytes
      FROM quota q JOIN lane l ON l."laneId" = q."laneId" CROSS JOIN LATERAL (
        SELECT j.position, j.id, j.ctid AS tid, j.concurrency_key, ${PAYLOAD_BYTES} AS bytes FROM jobs j
        WHERE ${inTurn(sql`l`)} AND (j.expires_at IS NULL OR j.expires_at > now())
        ORDER BY j.position, j.id LIMIT q."wanted" FOR UPDATE SKIP LOCKED
      ) head
    ), counted AS MATERIALIZED (
      SELECT p.*, COALESCE(p.concurrency_key IS NOT NULL
        AND row_number() OVER (PARTITION BY p."queue", p.concurrency_key
          ORDER BY p."priority" DESC, p.position, p.id) > LEAST(
          CASE WHEN p."perKey" IS NOT NULL THEN p."perKey" - (
            SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = p."queue"
              AND j.concurrency_key = p.concurrency_key) END,
          CASE WHEN q.key_rate_max IS NOT NULL THEN floor(${keyTokensAt({
            q: sql`q`,
            fullAt: sql`b.full_at`,
            time: sql`q.at`,
          })}) END
        ), false) AS "isOver"
      FROM picked p LEFT JOIN ruled q ON q.name = p."queue" ${bucketOf({ q: sql`q`, key: sql`p.concurrency_key` })}
    ), ${takenFrom(sql`counted p WHERE NOT p."isOver"`, sql`p."priority" DESC, p.position, p.id`)}, held_back AS (
      UPDATE jobs j SET hold = 'key', position = NULL, updated_at = now()
      WHERE j.id = ANY (ARRAY(SELECT id FROM counted WHERE "isOver")) AND j.status = 'pending'
      RETURNING ${CLAIMED_COLUMNS}, -1::bigint AS "slot"
    )`;
}

/** The locked queues that give no jobs now. */
const CLOSED = sql`(SELECT array_agg(q.name) FROM ruled q LEFT JOIN allowance a ON a."queue" = q.name
        WHERE (${IS_OPEN} AND COALESCE(a.room >= 1, true)) IS NOT TRUE)`;

const OF_LIMITS = sql`${CLOSED} AS "closed", (SELECT min("nextInMs") FROM spent_of_keys) AS "nextOfKeyInMs"`;

/** Takes the claimed jobs off the buckets of rate limits. */
const SPENT = sql`spent AS (
      UPDATE queues q SET tokens = l.tokens - s.count, tokens_at = l.at
      FROM (SELECT c.queue, count(*) AS count FROM claimed c GROUP BY c.queue) s
      JOIN ruled l ON l.name = s.queue
      WHERE q.name = s.queue AND l.rate_max IS NOT NULL
    )`;

/** Takes the claimed jobs off the buckets of their keys, which no other claim changes meanwhile. */
const SPENT_OF_KEYS = sql`spent_of_keys AS (
      INSERT INTO key_buckets AS b (queue, key, full_at, next_at)
      SELECT s.queue, s.key, s.full_at, CASE WHEN
        (SELECT true FROM jobs j WHERE j.hold = 'key' AND j.queue = s.queue AND j.concurrency_key = s.key LIMIT 1)
        OR (SELECT true FROM held_back h WHERE h.queue = s.queue AND h."concurrencyKey" = s.key LIMIT 1)
        THEN s.next_at END
      FROM (
        SELECT t.queue, t.key, t.full_at, ${keyNextAt({ q: sql`t`, fullAt: sql`t.full_at` })} AS next_at FROM (
          SELECT c.*, q.key_rate_max, q.key_rate_per_ms, ${keyFullAfter({
            q: sql`q`,
            fullAt: sql`b.full_at`,
            time: sql`q.at`,
            count: sql`c.count`,
          })} AS full_at
          FROM (SELECT c.queue, c."concurrencyKey" AS key, count(*) AS count FROM claimed c
            WHERE c."concurrencyKey" IS NOT NULL GROUP BY 1, 2) c
          JOIN ruled q ON q.name = c.queue ${bucketOf({ q: sql`q`, key: sql`c.key` })}
          WHERE q.key_rate_max IS NOT NULL
        ) t
      ) s
      ORDER BY s.queue, s.key
      -- Jobs may have been held, and found the bucket empty, since this statement began.
      ON CONFLICT (queue, key) DO UPDATE SET full_at = EXCLUDED.full_at,
        next_at = COALESCE(EXCLUDED.next_at, CASE WHEN b.next_at IS NOT NULL THEN
          (SELECT ${keyNextAt({ q: sql`q`, fullAt: sql`EXCLUDED.full_at` })} FROM ruled q WHERE q.name = b.queue) END)
      RETURNING extract(epoch FROM b.next_at - clock_timestamp())::float8 * 1000 AS "nextInMs"
    )`;

function laneStarts(lanes: LaneStart[]): Sql {
  return sql`unnest(
        ${lanes.map((lane) => lane.laneId)}::int[], ${lanes.map((lane) => lane.queue)}::text[],
        ${lanes.map((lane) => lane.priority)}::int[],
        ${lanes.map((lane) => lane.fromPosition)}::timestamptz[], ${lanes.map((lane) => lane.fromId)}::uuid[],
        ${lanes.map((lane) => lane.dueForMs)}::float8[]
      ) AS l ("laneId", "queue", "priority", "fromPosition", "fromId", "dueForMs")`;
}

/** Whether job `j` is ready in the lane of this alias, at or after the known start of the lane. */
function inTurn(lane: Sql): Sql {
  return sql`j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = ${lane}."laneId"
    AND j.position <= now() - ${lane}."dueForMs" * interval '1 ms'
    AND (j.position, j.id) >= (COALESCE(${lane}."fromPosition", '-infinity'),
      COALESCE(${lane}."fromId", '00000000-0000-0000-0000-000000000000'))`;
}
