import { type Executor, type Sql, sql } from '../db';
import { recorded } from '../events';
import { isoTime } from '../values';
import type { QueueKey } from './place';
import type { JobRow } from './row';

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

export type ClaimedRow = Pick<
  JobRow,
  | 'id'
  | 'type'
  | 'queue'
  | 'laneId'
  | 'attempt'
  | 'maxAttempts'
  | 'timeoutMs'
  | 'tags'
  | 'userId'
  | 'concurrencyKey'
  | 'trace'
> & {
  /** JSON text, as it is stored: it goes to the runner as it is, and nothing here looks inside. */
  arguments: string;
  metadata: string | null;
  checkpoint: string | null;
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
}

const CLAIMED_COLUMNS = sql`
  j.id, j.type, j.queue, j.lane_id AS "laneId", j.position, j.arguments::text, j.attempt, j.max_attempts AS "maxAttempts",
  j.timeout_ms AS "timeoutMs", j.metadata::text, j.tags, j.user_id AS "userId", j.checkpoint::text, j.trace, j.concurrency_key AS "concurrencyKey", j.runner_id AS "runnerId",
  j.lease_token AS "leaseToken", j.lease_ms AS "leaseMs", j.lease_expires_at::text AS "leaseExpiresAt", j.deadline_at::text AS "deadlineAt",
  extract(epoch FROM j.started_at - j.run_at)::float8 * 1000 AS "waitMs"`;

/**
 * pending -> running, for many runners at once: fills the slots in order of priority and position. Slots of a claim that
 * was answered before get the jobs they were given then.
 *
 * Queues that are paused give nothing. Queues with limits give nothing either, unless `isLocked` says that their rows
 * are locked by this transaction (`lockLimits`): then the limits are counted from rows, and hold at every instant.
 * Jobs over their key's limit leave the order and are held, so that the next claim does not walk over them.
 */
export async function claim(db: Executor, lanes: LaneStart[], slots: Slot[], isLocked: boolean): Promise<Claims> {
  const { claims, claimOf } = byClaim(slots);
  const rows = await db.query<ClaimedRow>(sql`
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest(
        ${claims.map((one) => one.runnerId)}::text[], ${claims.map((one) => one.claimId)}::text[], ${claims.map((one) => one.firstSlot)}::int[]
      ) WITH ORDINALITY AS a ("runnerId", "claimId", "slot", "nth")
    ), repeated AS MATERIALIZED (
      -- The limit keeps the planner from reading all running jobs at once instead of probing for each claim.
      SELECT held.id, a."slot", a."nth"
      FROM (SELECT * FROM asked WHERE "claimId" IS NOT NULL) a
      CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j
        WHERE j.runner_id = a."runnerId" AND j.claim_id = a."claimId" AND j.status = 'running' LIMIT 1000
      ) held
    ), open AS MATERIALIZED (
      -- One row of lists, indexed by the place of a job among those taken: a join would have to trust an estimate.
      -- Whose slot it is stands there as a number, because a text in a list is found by walking over those before it.
      SELECT ${claims.map((one) => one.runnerId)}::text[] AS "runnerIds", ${claims.map((one) => one.claimId)}::text[] AS "claimIds",
        ${claims.map((one) => one.leaseMs)}::int[] AS "leasesMs",
        array_agg(s."claim" ORDER BY s."slot") AS "whose", array_agg(s."slot"::int - 1 ORDER BY s."slot") AS "slots", count(*) AS "count"
      FROM unnest(${claimOf}::int[]) WITH ORDINALITY AS s ("claim", "slot")
      WHERE s."claim" NOT IN (SELECT r."nth" FROM repeated r)
    ), ruled AS MATERIALIZED (
      -- Once for each queue: the clock moves on between two rows, and lanes of one queue must see one bucket.
      SELECT q.name, q.concurrency, q.concurrency_per_key, q.rate_max, q.paused_at, q.paused_until, q.at,
        LEAST(q.rate_max, COALESCE(q.tokens, q.rate_max)
          -- A bucket that was filled in the future, before the clock was set back, counts as full.
          + CASE WHEN q.tokens_at > q.at + interval '5 s' THEN q.rate_max
              ELSE extract(epoch FROM q.at - q.tokens_at) * 1000 * q.rate_max / q.rate_per_ms END) AS tokens
      FROM (SELECT *, clock_timestamp() AS at FROM queues WHERE name = ANY (${[...new Set(lanes.map((lane) => lane.queue))]}::text[]) OFFSET 0) q
    ), lane AS MATERIALIZED (
      SELECT l.*, q.concurrency_per_key AS "perKey"
      FROM unnest(
        ${lanes.map((lane) => lane.laneId)}::int[], ${lanes.map((lane) => lane.queue)}::text[], ${lanes.map((lane) => lane.priority)}::int[],
        ${lanes.map((lane) => lane.fromPosition)}::timestamptz[], ${lanes.map((lane) => lane.fromId)}::uuid[],
        ${lanes.map((lane) => lane.dueForMs)}::float8[]
      ) AS l ("laneId", "queue", "priority", "fromPosition", "fromId", "dueForMs")
      LEFT JOIN ruled q ON q.name = l."queue"
      WHERE (q.paused_at IS NULL OR q.paused_until <= now())
        AND (${isLocked}::boolean OR (q.concurrency IS NULL AND q.concurrency_per_key IS NULL AND q.rate_max IS NULL))
    ), ${lanes.length === 1 && !isLocked ? FROM_ONE_LANE : FROM_LANES_UNDER_LIMITS}, claimed AS (
      UPDATE jobs j SET
        status = 'running', attempt = j.attempt + 1,
        runner_id = o."runnerIds"[o."whose"[p."place"]], claim_id = o."claimIds"[o."whose"[p."place"]],
        lease_token = gen_random_uuid(), lease_ms = o."leasesMs"[o."whose"[p."place"]],
        -- Not now(): the transaction may have waited for the locks of limits since it began, and a lease lasts from here.
        lease_expires_at = statement_timestamp() + LEAST(o."leasesMs"[o."whose"[p."place"]], j.timeout_ms * 1.25) * interval '1 ms',
        deadline_at = statement_timestamp() + j.timeout_ms * 1.25 * interval '1 ms',
        started_at = statement_timestamp(), updated_at = statement_timestamp(), progress = NULL, metrics = NULL
      FROM taken p CROSS JOIN open o
      -- The rows are locked, so they are found where they lie, without an index. One that was moved by a change that
      -- committed since is passed over, and found by the next claim.
      WHERE j.ctid = p.tid AND j.id = p.id AND j.status = 'pending'
      RETURNING ${CLAIMED_COLUMNS}, o."slots"[p."place"] AS "slot"
    ), spent AS (
      UPDATE queues q SET tokens = l.tokens - s.count, tokens_at = l.at
      FROM (SELECT c.queue, count(*) AS count FROM claimed c GROUP BY c.queue) s
      JOIN ruled l ON l.name = s.queue
      WHERE q.name = s.queue AND l.rate_max IS NOT NULL
    ), ${recorded(sql`claimed`, sql`'job.claimed'`, { status: sql`'running'` })}
    SELECT c.*, false AS "repeated" FROM claimed c
    UNION ALL
    SELECT ${CLAIMED_COLUMNS}, r."slot", true FROM repeated r JOIN jobs j ON j.id = r.id
    UNION ALL
    SELECT h.*, false FROM held_back h`);
  const found: Claims = { claimed: [], heldBack: [] };
  for (const row of rows) {
    if (row.slot < 0) {
      if (row.concurrencyKey !== null) found.heldBack.push({ queue: row.queue, key: row.concurrencyKey });
      continue;
    }
    row.leaseExpiresAt = isoTime(row.leaseExpiresAt);
    row.deadlineAt = isoTime(row.deadlineAt);
    found.claimed.push(row);
  }
  // The order is that of the places, whatever way the rows were found.
  found.claimed.sort((a, b) => a.slot - b.slot);
  return found;
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

/** Of one lane whose queue has no limits, the first are taken: half the work of a claim is sharing out. */
const FROM_ONE_LANE = sql`picked AS MATERIALIZED (
      SELECT head.id, head.tid, head.position FROM lane l CROSS JOIN LATERAL (
        SELECT j.position, j.id, j.ctid AS tid FROM jobs j
        WHERE ${inTurn(sql`l`)} AND (j.expires_at IS NULL OR j.expires_at > now())
        ORDER BY j.position, j.id LIMIT (SELECT "count" FROM open) FOR UPDATE SKIP LOCKED
      ) head
    ), taken AS MATERIALIZED (
      SELECT p.id, p.tid, row_number() OVER (ORDER BY p.position, p.id) AS "place" FROM picked p
    ), held_back AS (
      SELECT ${CLAIMED_COLUMNS}, -1 AS "slot" FROM jobs j WHERE false
    )`;

const FROM_LANES_UNDER_LIMITS = sql`allowance AS MATERIALIZED (
      SELECT q.name AS "queue", LEAST(
        q.concurrency - (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = q.name), floor(q.tokens)) AS room
      FROM ruled q WHERE q.concurrency IS NOT NULL OR q.rate_max IS NOT NULL
    ), quota AS MATERIALIZED (
      -- How many each lane gives, seen without locking: to lock the wanted number in every lane would keep other
      -- claims from jobs that this one then leaves.
      SELECT best."laneId", count(*) AS "wanted"
      FROM (
        SELECT ranked."laneId" FROM (
          SELECT l."laneId", l."queue", l."priority", head.position, head.id,
            row_number() OVER (PARTITION BY l."queue" ORDER BY l."priority" DESC, head.position, head.id) AS nth
          FROM lane l CROSS JOIN LATERAL (
            SELECT j.position, j.id FROM jobs j
            WHERE ${inTurn(sql`l`)} ORDER BY j.position, j.id LIMIT (SELECT "count" FROM open)
          ) head
        ) ranked LEFT JOIN allowance a ON a."queue" = ranked."queue"
        WHERE a.room IS NULL OR ranked.nth <= a.room
        ORDER BY ranked."priority" DESC, ranked.position, ranked.id LIMIT (SELECT "count" FROM open)
      ) best GROUP BY 1
    ), picked AS MATERIALIZED (
      -- Materialised: the planner may otherwise run the locking again for each row of the join and lock too much.
      SELECT head.id, head.tid, l."queue", l."perKey", head.concurrency_key, l."priority", head.position
      FROM quota q JOIN lane l ON l."laneId" = q."laneId" CROSS JOIN LATERAL (
        SELECT j.position, j.id, j.ctid AS tid, j.concurrency_key FROM jobs j
        WHERE ${inTurn(sql`l`)} AND (j.expires_at IS NULL OR j.expires_at > now())
        ORDER BY j.position, j.id LIMIT q."wanted" FOR UPDATE SKIP LOCKED
      ) head
    ), counted AS MATERIALIZED (
      SELECT p.*, COALESCE(p.concurrency_key IS NOT NULL AND p."perKey" IS NOT NULL AND
        row_number() OVER (PARTITION BY p."queue", p.concurrency_key ORDER BY p."priority" DESC, p.position, p.id) > p."perKey" - (
          SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = p."queue" AND j.concurrency_key = p.concurrency_key
        ), false) AS "isOver"
      FROM picked p
    ), taken AS MATERIALIZED (
      SELECT c.id, c.tid, row_number() OVER (ORDER BY c."priority" DESC, c.position, c.id) AS "place" FROM counted c WHERE NOT c."isOver"
    ), held_back AS (
      UPDATE jobs j SET hold = 'key', position = NULL, updated_at = now()
      WHERE j.id = ANY (ARRAY(SELECT id FROM counted WHERE "isOver")) AND j.status = 'pending'
      RETURNING ${CLAIMED_COLUMNS}, -1 AS "slot"
    )`;

/** The condition for a job to be in turn in the lane of this alias, from where the lane is known to begin. */
function inTurn(lane: Sql): Sql {
  return sql`j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = ${lane}."laneId"
    AND j.position <= now() - ${lane}."dueForMs" * interval '1 ms'
    AND (j.position, j.id) >= (COALESCE(${lane}."fromPosition", '-infinity'), COALESCE(${lane}."fromId", '00000000-0000-0000-0000-000000000000'))`;
}
