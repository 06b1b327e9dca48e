import { hash } from 'node:crypto';
import { type Executor, type Sql, sql } from '../db';
import { insertEvents } from '../events';
import { isoTime } from '../values';
import type { FieldsReadBy, JobRow } from './fields';
import type { QueueKey } from './holds';
import { leaseTimes } from './lease-times';
import { CLAIMED_COLUMNS } from './row';

/** Where to look: a lane, and the place in it before which nothing waits, as far as is known. */
export interface LaneStart {
  laneId: number;
  queue: string;
  priority: number;
  fromPosition: Date | null;
  fromId: string | null;
  /** Only jobs that have been due for so long: a lane that prefers other runners gives them this long. */
  dueForMs: number;
}

/** One job that a runner would take. A runner that would take five has five slots. */
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
  /** JSON text, as it is stored: it goes to the runner as it is, and nothing here looks inside. */
  arguments: string;
  metadata: string | null;
  checkpoint: string | null;
  /** Of one that waited for others: how these ended, as JSON text. */
  dependencies?: string;
  position: Date;
  runnerId: string;
  leaseToken: string;
  leaseMs: number;
  /** In ISO-8601, as the contract writes times. */
  leaseExpiresAt: string;
  deadlineAt: string;
  /** How long it had been due. */
  waitMs: number;
  /** The index of its slot; for a repeated claim, of that claim's first slot. */
  slot: number;
  /** It had been claimed under this claim id before, and its answer was lost. */
  repeated: boolean;
};

export interface Claims {
  claimed: ClaimedRow[];
  /** Keys of jobs that were in turn, but over their limit: they are held now, and others have come in turn. */
  heldBack: QueueKey[];
  /** Whether jobs that were seen were not had, because another claim has them locked. */
  isShort: boolean;
  /** Whether jobs, or claims that were answered before, were left out because what came before them is large. */
  isCut: boolean;
}

/** One statement brings so many bytes of payloads, and one job at least: an answer, and what waits to be sent, is bounded by it. */
export const MOST_CLAIM_BYTES = 16 * 1024 * 1024;

/** What jobs are known by that were given to one claim of one runner: eight bytes, because every job that runs is in its index. */
export function claimHash({ runnerId, claimId }: Pick<Slot, 'runnerId' | 'claimId'>): string | null {
  if (claimId === null) return null;
  return hash('sha256', JSON.stringify([runnerId, claimId]), 'buffer')
    .readBigInt64BE()
    .toString();
}

/**
 * How many bytes the payloads of the job in the alias `j` have as text. Only a compressed one has to be read for that, and
 * small rows have none: in them, and in those that are stored apart as they are, the length is told without a look.
 */
const PAYLOAD_BYTES = sql`(${bytesOf(sql`j.arguments`)} + ${bytesOf(sql`j.metadata`)} + ${bytesOf(sql`j.checkpoint`)})`;

function bytesOf(payload: Sql): Sql {
  return sql`CASE WHEN ${payload} IS NULL THEN 0 WHEN pg_column_compression(${payload}) IS NULL THEN pg_column_size(${payload}) ELSE octet_length(${payload}::text) END`;
}

/**
 * pending -> running, for many runners at once: fills the slots in order of priority and position. Slots of a claim that
 * was answered before get the jobs they were given then.
 *
 * Queues that are paused give nothing. Queues with limits give nothing either, unless `isLocked` says that their rows
 * are locked by this transaction (`lockLimits`): then the limits are counted from rows, and hold at every instant.
 * Jobs over their key's limit leave the order and are held, so that the next claim does not walk over them.
 *
 * The statement is made of what the batch needs: without limits, with one lane, or for one claim, it is shorter.
 */
export async function claim(db: Executor, lanes: LaneStart[], slots: Slot[], isLocked: boolean): Promise<Claims> {
  const { claims, claimOf } = byClaim(slots);
  if (lanes.length === 0) return { heldBack: [], isShort: false, ...(await answered(db, claims)) };
  const source = isLocked ? fromLanesUnderLimits(lanes) : fromLanes(lanes);
  const whose = takersOf(claims, claimOf);
  const times = leaseTimes(sql`statement_timestamp()`, whose.leaseMs, sql`j.timeout_ms`);
  const rows = await db.query<Head & ClaimedRow>(sql`
    WITH ${claimedBefore(claims)}, wanted AS MATERIALIZED (
      SELECT CASE WHEN (SELECT true FROM again LIMIT 1) THEN 0 ELSE ${slots.length}::int END AS "count"
    ), ${source}, claimed AS (
      UPDATE jobs j SET
        status = 'running', attempt = j.attempt + 1, runner_id = ${whose.runnerId}, claim_hash = ${whose.claimHash},
        lease_token = gen_random_uuid(), lease_ms = ${whose.leaseMs},
        -- Not now(): the transaction may have waited for the locks of limits since it began, and a lease lasts from here.
        lease_expires_at = ${times.leaseExpiresAt}, deadline_at = ${times.deadlineAt},
        started_at = statement_timestamp(), updated_at = statement_timestamp(), progress = NULL, metrics = NULL
      FROM taken p
      -- The rows are locked, so they are found where they lie, without an index. One that was moved by a change that
      -- committed since is passed over, and found by the next claim.
      WHERE j.ctid = p.tid AND j.id = p.id AND j.status = 'pending' AND p."bytesBefore" < ${MOST_CLAIM_BYTES}
      RETURNING ${CLAIMED_COLUMNS}, p."rank" - 1 AS "slot"
    ), ${isLocked ? sql`${SPENT}, ` : sql``} ${insertEvents(sql`claimed`, sql`'job.claimed'`, { status: sql`'running'` })}
    SELECT h.*, c.* FROM (SELECT (SELECT array_agg(nth::int) FROM again) AS "again", ${IS_SHORT[isLocked || lanes.length > 1 ? 'of many' : 'of one']} AS "isShort",
      EXISTS (SELECT FROM taken p WHERE p."bytesBefore" >= ${MOST_CLAIM_BYTES}) AS "isCut") h
    LEFT JOIN (SELECT * FROM claimed ${isLocked ? sql`UNION ALL SELECT * FROM held_back` : sql``}) c ON true`);
  const again = rows[0]?.again ?? null;
  if (again !== null) return claimBeside(db, lanes, slots, isLocked, claims, claimOf, new Set(again));
  const found: Claims = {
    claimed: [],
    heldBack: [],
    isShort: rows[0]?.isShort === true,
    isCut: rows[0]?.isCut === true,
  };
  for (const { again: _again, isShort: _isShort, isCut: _isCut, ...row } of rows) {
    if (row.id === null) continue;
    if (row.slot < 0) {
      if (row.concurrencyKey !== null) found.heldBack.push({ queue: row.queue, key: row.concurrencyKey });
      continue;
    }
    found.claimed.push(told(row, false));
  }
  // The order is that of the places, whatever way the rows were found.
  found.claimed.sort((a, b) => a.slot - b.slot);
  return found;
}

interface Head {
  /** The claims that were answered before, by number from 1; then nothing was claimed. */
  again: number[] | null;
  isShort: boolean;
  isCut: boolean;
}

/** Some of the claims were answered before: they get what they got then, and the others are served without them. */
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
  if (left.length === 0 || repeated.isCut) return { heldBack: [], isShort: false, ...repeated };
  const others = await claim(
    db,
    lanes,
    left.map(({ slot }) => slot),
    isLocked,
  );
  for (const row of others.claimed) row.slot = left[row.slot]?.index ?? row.slot;
  return { ...others, claimed: [...repeated.claimed, ...others.claimed] };
}

/** Jobs that run under these claims, claimed by a call whose answer was lost; all of a claim's, or none. */
async function answered(db: Executor, claims: AskedClaim[]): Promise<Pick<Claims, 'claimed' | 'isCut'>> {
  const named = claims.filter(({ claimId }) => claimId !== null);
  if (named.length === 0) return { claimed: [], isCut: false };
  const rows = await db.query<{ isCut: boolean } & ClaimedRow>(sql`
    WITH found AS MATERIALIZED (
      SELECT own.id, a."slot", own.bytes FROM unnest(
        ${named.map((one) => one.runnerId)}::text[], ${named.map(claimHash)}::bigint[], ${named.map((one) => one.firstSlot)}::int[]
      ) AS a ("runnerId", "claimHash", "slot")
      -- The limit keeps the planner from reading all running jobs at once instead of probing for each claim.
      CROSS JOIN LATERAL (SELECT j.id, ${PAYLOAD_BYTES} AS bytes FROM jobs j WHERE ${ofClaim(sql`a."runnerId"`, sql`a."claimHash"`)} LIMIT 1000) own
    ), held AS MATERIALIZED (
      SELECT f.id, f."slot", sum(f.bytes) OVER (ORDER BY f."slot" RANGE UNBOUNDED PRECEDING EXCLUDE GROUP) AS "bytesBefore" FROM found f
    )
    SELECT ${CLAIMED_COLUMNS}, held."slot", EXISTS (SELECT FROM held WHERE "bytesBefore" >= ${MOST_CLAIM_BYTES}) AS "isCut"
    FROM held JOIN jobs j ON j.id = held.id WHERE COALESCE(held."bytesBefore", 0) < ${MOST_CLAIM_BYTES}`);
  return { claimed: rows.map(({ isCut: _isCut, ...row }) => told(row, true)), isCut: rows[0]?.isCut === true };
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

/** The claims that the slots belong to, and for each slot the number of its claim, from 1. Without a claim id each slot stands for itself. */
function byClaim(slots: Slot[]): { claims: AskedClaim[]; claimOf: number[] } {
  const claims: AskedClaim[] = [];
  const known = new Map<string, number>();
  // Most slots of a claim are one object, so its name is seldom asked for.
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

/** A CTE, `again`: which of the claims have jobs that run, by number from 1. */
function claimedBefore(claims: AskedClaim[]): Sql {
  return sql`again AS MATERIALIZED (
      SELECT a."nth" FROM unnest(
        ${claims.map((one) => one.runnerId)}::text[], ${claims.map(claimHash)}::bigint[]
      ) WITH ORDINALITY AS a ("runnerId", "claimHash", "nth")
      WHERE (SELECT true FROM jobs j WHERE ${ofClaim(sql`a."runnerId"`, sql`a."claimHash"`)} LIMIT 1)
    )`;
}

/** For a job of the CTE `taken` in the alias `p`: whose it becomes. */
function takersOf(claims: AskedClaim[], claimOf: number[]): { runnerId: Sql; claimHash: Sql; leaseMs: Sql } {
  const [only] = claims;
  if (only !== undefined && claims.length === 1)
    return {
      runnerId: sql`${only.runnerId}::text`,
      claimHash: sql`${claimHash(only)}::bigint`,
      leaseMs: sql`${only.leaseMs}::int`,
    };
  // Lists, indexed by the place of a job among those taken: a join would have to trust an estimate. Whose slot it is stands
  // there as a number, because a text in a list is found by walking over those before it.
  const nth = sql`(${claimOf}::int[])[p."rank"]`;
  return {
    runnerId: sql`(${claims.map((one) => one.runnerId)}::text[])[${nth}]`,
    claimHash: sql`(${claims.map(claimHash)}::bigint[])[${nth}]`,
    leaseMs: sql`(${claims.map((one) => one.leaseMs)}::int[])[${nth}]`,
  };
}

const IS_SHORT = {
  'of one': sql`false`,
  'of many': sql`COALESCE((SELECT sum(q."wanted") FROM quota q), 0) > (SELECT count(*) FROM picked)`,
};

/** Whether the queue of the alias `q` gives jobs, as far as pauses go; one without a row does. */
const IS_OPEN = sql`(q.paused_at IS NULL OR q.paused_until <= now())`;
const IS_UNLIMITED = sql`q.concurrency IS NULL AND q.concurrency_per_key IS NULL AND q.rate_max IS NULL`;

/** CTEs from `lane` to `taken`, of queues without limits. */
function fromLanes(lanes: LaneStart[]): Sql {
  const [only] = lanes;
  if (only !== undefined && lanes.length === 1) return fromLane(only);
  return sql`lane AS MATERIALIZED (
      SELECT l.* FROM ${laneStarts(lanes)} LEFT JOIN queues q ON q.name = l."queue" WHERE ${IS_OPEN} AND ${IS_UNLIMITED}
    ), quota AS MATERIALIZED (
      -- How many each lane gives, seen without locking: to lock the wanted number in every lane would keep other
      -- claims from jobs that this one then leaves.
      SELECT best."laneId", count(*) AS "wanted"
      FROM (
        SELECT l."laneId" FROM lane l CROSS JOIN LATERAL (
          SELECT j.position, j.id FROM jobs j
          WHERE ${inTurn(sql`l`)} ORDER BY j.position, j.id LIMIT (SELECT "count" FROM wanted)
        ) head
        ORDER BY l."priority" DESC, head.position, head.id LIMIT (SELECT "count" FROM wanted)
      ) best GROUP BY 1
    ), picked AS MATERIALIZED (
      -- Materialised: the planner may otherwise run the locking again for each row of the join and lock too much.
      SELECT head.id, head.tid, l."priority", head.position, head.bytes
      FROM quota q JOIN lane l ON l."laneId" = q."laneId" CROSS JOIN LATERAL (
        SELECT j.position, j.id, j.ctid AS tid, ${PAYLOAD_BYTES} AS bytes FROM jobs j
        WHERE ${inTurn(sql`l`)} AND (j.expires_at IS NULL OR j.expires_at > now())
        ORDER BY j.position, j.id LIMIT q."wanted" FOR UPDATE SKIP LOCKED
      ) head
    ), ${takenFrom(sql`picked p`, sql`p."priority" DESC, p.position, p.id`)}`;
}

/** Of one lane the first are taken: half the work of a claim is sharing out. */
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

/** The CTE `taken`: those of the alias `p` in their order, each with how many bytes those before it have. */
function takenFrom(picked: Sql, order: Sql): Sql {
  return sql`taken AS MATERIALIZED (
      SELECT p.id, p.tid, row_number() OVER one_by_one AS "rank", sum(p.bytes) OVER one_by_one - p.bytes AS "bytesBefore"
      FROM ${picked} WINDOW one_by_one AS (ORDER BY ${order} ROWS UNBOUNDED PRECEDING)
    )`;
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** CTEs from `lane` to `taken` and `held_back`, of queues whose rows are locked. */
function fromLanesUnderLimits(lanes: LaneStart[]): Sql {
  return sql`ruled AS MATERIALIZED (
      -- Once for each queue: the clock moves on between two rows, and lanes of one queue must see one bucket.
      SELECT q.name, q.concurrency, q.concurrency_per_key, q.rate_max, q.paused_at, q.paused_until, q.at,
        LEAST(q.rate_max, COALESCE(q.tokens, q.rate_max)
          -- A bucket that was filled in the future, before the clock was set back, counts as full.
          + CASE WHEN q.tokens_at > q.at + interval '5 s' THEN q.rate_max
              ELSE extract(epoch FROM q.at - q.tokens_at) * 1000 * q.rate_max / q.rate_per_ms END) AS tokens
      FROM (SELECT *, clock_timestamp() AS at FROM queues WHERE name = ANY (${[...new Set(lanes.map((lane) => lane.queue))]}::text[]) OFFSET 0) q
    ), lane AS MATERIALIZED (
      SELECT l.*, q.concurrency_per_key AS "perKey" FROM ${laneStarts(lanes)} LEFT JOIN ruled q ON q.name = l."queue" WHERE ${IS_OPEN}
    ), allowance AS MATERIALIZED (
      SELECT q.name AS "queue", LEAST(
        q.concurrency - (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = q.name), floor(q.tokens)) AS room
      FROM ruled q WHERE q.concurrency IS NOT NULL OR q.rate_max IS NOT NULL
    ), quota AS MATERIALIZED (
      -- As above, and of each queue no more than its allowance.
      SELECT best."laneId", count(*) AS "wanted"
      FROM (
        SELECT ranked."laneId" FROM (
          SELECT l."laneId", l."queue", l."priority", head.position, head.id,
            row_number() OVER (PARTITION BY l."queue" ORDER BY l."priority" DESC, head.position, head.id) AS nth
          FROM lane l CROSS JOIN LATERAL (
            SELECT j.position, j.id FROM jobs j
            WHERE ${inTurn(sql`l`)} ORDER BY j.position, j.id LIMIT (SELECT "count" FROM wanted)
          ) head
        ) ranked LEFT JOIN allowance a ON a."queue" = ranked."queue"
        WHERE a.room IS NULL OR ranked.nth <= a.room
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
      SELECT p.*, COALESCE(p.concurrency_key IS NOT NULL AND p."perKey" IS NOT NULL AND
        row_number() OVER (PARTITION BY p."queue", p.concurrency_key ORDER BY p."priority" DESC, p.position, p.id) > p."perKey" - (
          SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = p."queue" AND j.concurrency_key = p.concurrency_key
        ), false) AS "isOver"
      FROM picked p
    ), ${takenFrom(sql`counted p WHERE NOT p."isOver"`, sql`p."priority" DESC, p.position, p.id`)}, held_back AS (
      UPDATE jobs j SET hold = 'key', position = NULL, updated_at = now()
      WHERE j.id = ANY (ARRAY(SELECT id FROM counted WHERE "isOver")) AND j.status = 'pending'
      RETURNING ${CLAIMED_COLUMNS}, -1::bigint AS "slot"
    )`;
}

/** What was taken is taken off the buckets of rate limits. */
const SPENT = sql`spent AS (
      UPDATE queues q SET tokens = l.tokens - s.count, tokens_at = l.at
      FROM (SELECT c.queue, count(*) AS count FROM claimed c GROUP BY c.queue) s
      JOIN ruled l ON l.name = s.queue
      WHERE q.name = s.queue AND l.rate_max IS NOT NULL
    )`;

function laneStarts(lanes: LaneStart[]): Sql {
  return sql`unnest(
        ${lanes.map((lane) => lane.laneId)}::int[], ${lanes.map((lane) => lane.queue)}::text[], ${lanes.map((lane) => lane.priority)}::int[],
        ${lanes.map((lane) => lane.fromPosition)}::timestamptz[], ${lanes.map((lane) => lane.fromId)}::uuid[],
        ${lanes.map((lane) => lane.dueForMs)}::float8[]
      ) AS l ("laneId", "queue", "priority", "fromPosition", "fromId", "dueForMs")`;
}

/** The condition for a job to be in turn in the lane of this alias, from where the lane is known to begin. */
function inTurn(lane: Sql): Sql {
  return sql`j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = ${lane}."laneId"
    AND j.position <= now() - ${lane}."dueForMs" * interval '1 ms'
    AND (j.position, j.id) >= (COALESCE(${lane}."fromPosition", '-infinity'), COALESCE(${lane}."fromId", '00000000-0000-0000-0000-000000000000'))`;
}
