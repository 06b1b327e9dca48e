-- The tables of Baton, noun by noun, in the order of prisma/schema.prisma. Indexes of jobs are partial, one for each
-- question that the engine asks, so that finished jobs cost a claim nothing.

-- jobs ---------------------------------------------------------------------------------------------------------------

CREATE TYPE "job_status" AS ENUM ('blocked', 'pending', 'running', 'completed', 'failed', 'cancelled');
-- What a due job waits for, other than a runner: its concurrency key, or an earlier job of its order key.
CREATE TYPE "job_hold" AS ENUM ('key', 'order');
CREATE TYPE "attempt_outcome" AS ENUM ('running', 'completed', 'failed', 'timed_out', 'released', 'cancelled');
CREATE TYPE "log_level" AS ENUM ('debug', 'info', 'warn', 'error');

CREATE TABLE "jobs" (
  "id" UUID NOT NULL,
  "type" TEXT NOT NULL,
  "queue" TEXT NOT NULL,
  "priority" SMALLINT NOT NULL,
  "status" "job_status" NOT NULL,
  "reason" TEXT,
  "lane_id" INTEGER NOT NULL,
  "run_at" TIMESTAMPTZ(6) NOT NULL,
  "position" TIMESTAMPTZ(6),
  "hold" "job_hold",
  "arguments" JSON NOT NULL,
  "result" JSON,
  "error" JSON,
  "fingerprint" TEXT,
  "metadata" JSON,
  "requires" JSON,
  "prefers" JSON,
  "tags" TEXT[],
  "user_id" TEXT,
  "concurrency_key" TEXT,
  "order_key" TEXT,
  "order_seq" BIGINT,
  "order_blocks" BOOLEAN NOT NULL DEFAULT false,
  "unique_key" TEXT,
  "unique_until" TIMESTAMPTZ(6),
  "expires_at" TIMESTAMPTZ(6),
  "attempt" INTEGER NOT NULL DEFAULT 0,
  "failures" INTEGER NOT NULL DEFAULT 0,
  "max_attempts" INTEGER NOT NULL,
  "trace" TEXT,
  "retry" JSON,
  "timeout_ms" INTEGER NOT NULL,
  "runner_id" TEXT,
  "claim_hash" BIGINT,
  "lease_token" UUID,
  "lease_ms" INTEGER,
  "lease_expires_at" TIMESTAMPTZ(6),
  "deadline_at" TIMESTAMPTZ(6),
  "progress" JSON,
  "checkpoint" JSON,
  "metrics" JSON,
  "callback" JSON,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "started_at" TIMESTAMPTZ(6),
  "finished_at" TIMESTAMPTZ(6),
  "updated_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "jobs_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "jobs_running_is_leased" CHECK (
    "status" <> 'running'
    OR ("lease_token" IS NOT NULL AND "lease_ms" IS NOT NULL AND "lease_expires_at" IS NOT NULL
        AND "deadline_at" IS NOT NULL AND "runner_id" IS NOT NULL AND "started_at" IS NOT NULL)
  ),
  CONSTRAINT "jobs_finished_has_time" CHECK (("status" IN ('completed', 'failed', 'cancelled')) = ("finished_at" IS NOT NULL)),
  CONSTRAINT "jobs_only_waiting_is_held" CHECK ("status" IN ('pending', 'blocked') OR "hold" IS NULL),
  CONSTRAINT "jobs_held_is_not_in_turn" CHECK ("hold" IS NULL OR "position" IS NULL)
);

-- Room on each page for the next version of a row, so that a heartbeat touches no index (a HOT update). Jobs churn:
-- autovacuum comes after a hundredth of the table has changed, and does not pause.
ALTER TABLE "jobs" SET (
  fillfactor = 85,
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.02,
  autovacuum_vacuum_cost_delay = 0
);

-- The number of a job within its order key.
CREATE SEQUENCE "jobs_order_seq" AS BIGINT;

-- Waiting.
-- The claim: within a lane, the next in turn. Jobs that are not due yet, or held, are not in it, so that no claim ever
-- walks over them.
CREATE INDEX "jobs_claim_idx" ON "jobs" ("lane_id", "position", "id") WHERE "status" = 'pending' AND "position" IS NOT NULL;
-- What becomes due next.
CREATE INDEX "jobs_due_idx" ON "jobs" ("run_at") WHERE "status" = 'pending' AND "position" IS NULL AND "hold" IS NULL;
-- A user's, or a key's, last turn in a queue.
CREATE INDEX "jobs_turn_idx" ON "jobs" ("queue", "priority", (COALESCE("concurrency_key", "user_id")), "position")
  WHERE "status" = 'pending' AND "position" IS NOT NULL AND COALESCE("concurrency_key", "user_id") IS NOT NULL;
CREATE INDEX "jobs_expiry_idx" ON "jobs" ("expires_at") WHERE "expires_at" IS NOT NULL AND "status" IN ('pending', 'blocked');
-- Jobs held by their concurrency key, lane by lane.
CREATE INDEX "jobs_key_held_idx" ON "jobs" ("queue", "concurrency_key", "lane_id", "run_at", "id") WHERE "hold" = 'key';
-- The unfinished jobs of an order, and those whose failure blocks it.
CREATE INDEX "jobs_order_idx" ON "jobs" ("queue", "order_key", "order_seq")
  WHERE "order_key" IS NOT NULL AND ("status" IN ('blocked', 'pending', 'running') OR ("status" = 'failed' AND "order_blocks"));
-- The one of an order that runs, or may: behind it there may be thousands. Told by finished_at, not by status, so that
-- the planner has no choice between this index and the one above, which holds them all.
CREATE INDEX "jobs_order_busy_idx" ON "jobs" ("queue", "order_key")
  WHERE "order_key" IS NOT NULL AND "finished_at" IS NULL AND "hold" IS DISTINCT FROM 'order';
CREATE INDEX "jobs_order_held_idx" ON "jobs" ("queue", "order_key") WHERE "hold" = 'order';

-- Running.
-- The timeout monitor walks it whole, a repeated claim finds its jobs in it. Nothing in it changes while a lease is
-- extended. Each job that runs is in it, so eight bytes stand for the name of its claim.
CREATE INDEX "jobs_running_idx" ON "jobs" ("runner_id", "claim_hash") WHERE "status" = 'running';
-- How many of a queue, or of a key in it, run: limits are counted from rows. Only those who name a queue can use it, or
-- the planner, who believes that nothing runs, would walk it whole in place of the one above.
CREATE INDEX "jobs_running_queue_idx" ON "jobs" ("queue", "concurrency_key") WHERE "status" = 'running' AND "queue" IS NOT NULL;

-- Unique keys.
-- One unfinished job for each unique key, of each user.
CREATE UNIQUE INDEX "jobs_unique_idx" ON "jobs" ("type", "unique_key", (COALESCE("user_id", '')))
  WHERE "unique_key" IS NOT NULL AND "status" IN ('blocked', 'pending', 'running');
CREATE INDEX "jobs_unique_until_idx" ON "jobs" ("type", "unique_key") WHERE "unique_until" IS NOT NULL;

-- Over.
-- By queue, kind of ending and time: retention takes the oldest of each queue without walking over those that another
-- queue keeps longer.
CREATE INDEX "jobs_over_idx" ON "jobs" ("queue", "status", "finished_at") WHERE "finished_at" IS NOT NULL;
-- The dead-letter queue, and its groups.
CREATE INDEX "jobs_failed_idx" ON "jobs" ("id") WHERE "status" = 'failed';
CREATE INDEX "jobs_fingerprint_idx" ON "jobs" ("fingerprint", "id") WHERE "status" = 'failed';
CREATE INDEX "jobs_cancelled_idx" ON "jobs" ("id") WHERE "status" = 'cancelled';

-- Lists of the jobs of one user, of one key, and of those whose priority is another than most have. Jobs without them
-- cost nothing.
CREATE INDEX "jobs_user_idx" ON "jobs" ("user_id", "id") WHERE "user_id" IS NOT NULL;
-- How many jobs a user created in a queue of late: limits are counted from rows.
CREATE INDEX "jobs_user_created_idx" ON "jobs" ("queue", "user_id", "created_at") WHERE "user_id" IS NOT NULL;
CREATE INDEX "jobs_concurrency_key_idx" ON "jobs" ("concurrency_key", "id") WHERE "concurrency_key" IS NOT NULL;
CREATE INDEX "jobs_order_key_idx" ON "jobs" ("order_key", "id") WHERE "order_key" IS NOT NULL;
CREATE INDEX "jobs_unique_key_idx" ON "jobs" ("unique_key", "id") WHERE "unique_key" IS NOT NULL;
CREATE INDEX "jobs_priority_idx" ON "jobs" ("priority", "id") WHERE "priority" <> 0;

-- lanes --------------------------------------------------------------------------------------------------------------

CREATE TABLE "lanes" (
  "id" SERIAL NOT NULL,
  "queue" TEXT NOT NULL,
  "type" TEXT NOT NULL,
  "priority" SMALLINT NOT NULL,
  "requires" JSON,
  "prefers" JSON,
  "key" TEXT NOT NULL,
  "made_by" TEXT NOT NULL,
  "made_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "lanes_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "lanes_key_key" ON "lanes" ("key");
CREATE INDEX "lanes_made_by_idx" ON "lanes" ("made_by");

-- attempts -----------------------------------------------------------------------------------------------------------

CREATE TABLE "attempts" (
  "job_id" UUID NOT NULL,
  "attempt" INTEGER NOT NULL,
  "runner_id" TEXT NOT NULL,
  "lease_token" UUID NOT NULL,
  "started_at" TIMESTAMPTZ(6) NOT NULL,
  "finished_at" TIMESTAMPTZ(6) NOT NULL,
  "outcome" "attempt_outcome" NOT NULL,
  "error" JSON,
  "metrics" JSON,
  "late_result" JSON,
  "reply" JSON,
  "due_at" TIMESTAMPTZ(6),
  CONSTRAINT "attempts_pkey" PRIMARY KEY ("job_id", "attempt"),
  CONSTRAINT "attempts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
-- Attempts that ended since the last count. Those of jobs that go well are not in this table.
CREATE INDEX "attempts_finished_idx" ON "attempts" ("finished_at");

-- job logs -----------------------------------------------------------------------------------------------------------

CREATE TABLE "job_logs" (
  "job_id" UUID NOT NULL,
  "seq" BIGSERIAL NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "level" "log_level" NOT NULL,
  "message" TEXT NOT NULL,
  "fields" JSON,
  "attempt" INTEGER NOT NULL,
  CONSTRAINT "job_logs_pkey" PRIMARY KEY ("job_id", "seq"),
  CONSTRAINT "job_logs_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "job_log_totals" (
  "job_id" UUID NOT NULL,
  "lines" INTEGER NOT NULL,
  "dropped" INTEGER NOT NULL DEFAULT 0,
  "mark_seq" BIGINT,
  CONSTRAINT "job_log_totals_pkey" PRIMARY KEY ("job_id"),
  CONSTRAINT "job_log_totals_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- idempotency keys ---------------------------------------------------------------------------------------------------

CREATE TABLE "idempotency_keys" (
  "scope" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "request_hash" TEXT NOT NULL,
  "job_id" UUID NOT NULL,
  "job_ids" UUID[],
  CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("scope", "key")
);
CREATE INDEX "idempotency_keys_job_id_idx" ON "idempotency_keys" ("job_id");

-- A foreign key would look each job up again that was stored in the same statement, which takes a third of a keyed create.
-- What it would be there for, that a key goes with its job, is done once for each statement that deletes jobs. That no
-- key stands for a job that is gone: a key is stored with its job, or while its job is locked.
CREATE FUNCTION "delete_idempotency_keys"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM "idempotency_keys";
  ELSE
    DELETE FROM "idempotency_keys" WHERE "job_id" = ANY (ARRAY(SELECT "id" FROM "gone"));
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER "jobs_delete_keys" AFTER DELETE ON "jobs" REFERENCING OLD TABLE AS "gone"
  FOR EACH STATEMENT EXECUTE FUNCTION "delete_idempotency_keys"();
CREATE TRIGGER "jobs_truncate_keys" AFTER TRUNCATE ON "jobs" FOR EACH STATEMENT EXECUTE FUNCTION "delete_idempotency_keys"();

-- queues -------------------------------------------------------------------------------------------------------------

CREATE TABLE "queues" (
  "name" TEXT NOT NULL,
  "paused_by" TEXT,
  "paused_reason" TEXT,
  "paused_at" TIMESTAMPTZ(6),
  "paused_until" TIMESTAMPTZ(6),
  "concurrency" INTEGER,
  "concurrency_per_key" INTEGER,
  "rate_max" INTEGER,
  "rate_per_ms" BIGINT,
  "tokens" DOUBLE PRECISION,
  "tokens_at" TIMESTAMPTZ(6),
  "user_rate_max" INTEGER,
  "user_rate_per_ms" BIGINT,
  "max_waiting" INTEGER,
  "defaults" JSON,
  "is_fair" BOOLEAN NOT NULL DEFAULT true,
  "keep_completed_ms" BIGINT,
  "keep_failed_ms" BIGINT,
  "keep_cancelled_ms" BIGINT,
  "cost_base" DOUBLE PRECISION,
  "cost_per_second" DOUBLE PRECISION,
  "cost_per_gb_second" DOUBLE PRECISION,
  CONSTRAINT "queues_pkey" PRIMARY KEY ("name"),
  CONSTRAINT "queues_rate_is_whole" CHECK (("rate_max" IS NULL) = ("rate_per_ms" IS NULL)),
  CONSTRAINT "queues_user_rate_is_whole" CHECK (("user_rate_max" IS NULL) = ("user_rate_per_ms" IS NULL)),
  CONSTRAINT "queues_cost_is_whole" CHECK (
    ("cost_base" IS NULL) = ("cost_per_second" IS NULL) AND ("cost_base" IS NULL) = ("cost_per_gb_second" IS NULL))
);

-- bulk operations ----------------------------------------------------------------------------------------------------

CREATE TYPE "bulk_verb" AS ENUM ('cancel', 'retry', 'purge', 'prioritise', 'replay');

CREATE TABLE "bulk_operations" (
  "id" UUID NOT NULL,
  "verb" "bulk_verb" NOT NULL,
  "filter" JSON NOT NULL,
  "parameters" JSON NOT NULL,
  "user_id" TEXT,
  "matched" INTEGER NOT NULL,
  "changed" INTEGER NOT NULL DEFAULT 0,
  "cursor" UUID,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "finished_at" TIMESTAMPTZ(6),
  "requested_by" JSON,
  CONSTRAINT "bulk_operations_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "bulk_operations_open_idx" ON "bulk_operations" ("created_at") WHERE "finished_at" IS NULL;

-- runners ------------------------------------------------------------------------------------------------------------

CREATE TABLE "runners" (
  "id" TEXT NOT NULL,
  "types" TEXT[],
  "queues" TEXT[],
  "labels" JSON NOT NULL,
  "version" TEXT,
  "first_seen_at" TIMESTAMPTZ(6) NOT NULL,
  "last_seen_at" TIMESTAMPTZ(6) NOT NULL,
  "draining_since" TIMESTAMPTZ(6),
  "stopped_at" TIMESTAMPTZ(6),
  CONSTRAINT "runners_pkey" PRIMARY KEY ("id")
);

-- keys, sessions, audit ----------------------------------------------------------------------------------------------

CREATE TYPE "api_key_role" AS ENUM ('admin', 'producer', 'user', 'runner', 'viewer');

CREATE TABLE "api_keys" (
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "role" "api_key_role" NOT NULL,
  "user_id" TEXT,
  "queues" TEXT[],
  "types" TEXT[],
  "secret_hash" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "expires_at" TIMESTAMPTZ(6),
  "last_used_at" TIMESTAMPTZ(6),
  "revoked_at" TIMESTAMPTZ(6),
  "rotated_from" TEXT,
  CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "api_keys_user_is_bound" CHECK (("role" = 'user') = ("user_id" IS NOT NULL))
);
CREATE UNIQUE INDEX "api_keys_secret_hash_key" ON "api_keys" ("secret_hash");

CREATE TABLE "sessions" (
  "token_hash" TEXT NOT NULL,
  "key_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "expires_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "sessions_pkey" PRIMARY KEY ("token_hash"),
  CONSTRAINT "sessions_key_id_fkey" FOREIGN KEY ("key_id") REFERENCES "api_keys" ("id") ON DELETE CASCADE
);
CREATE INDEX "sessions_expires_at_idx" ON "sessions" ("expires_at");
CREATE INDEX "sessions_key_id_idx" ON "sessions" ("key_id");

CREATE TABLE "audit_log" (
  "id" UUID NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "action" TEXT NOT NULL,
  "target" TEXT,
  "key_id" TEXT NOT NULL,
  "key_name" TEXT NOT NULL,
  "role" TEXT NOT NULL,
  "user_id" TEXT,
  "address" TEXT NOT NULL,
  "request_id" TEXT NOT NULL,
  "details" JSON NOT NULL,
  CONSTRAINT "audit_log_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "audit_log_action_idx" ON "audit_log" ("action", "id");
CREATE INDEX "audit_log_target_idx" ON "audit_log" ("target", "id");
CREATE INDEX "audit_log_key_id_idx" ON "audit_log" ("key_id", "id");

-- events -------------------------------------------------------------------------------------------------------------

-- What somebody wants to hear of: `all`, or one queue, type, user or job. Events are written down only for these.
CREATE TABLE "event_watches" (
  "scope" TEXT NOT NULL,
  "since" BIGINT NOT NULL,
  "until_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "event_watches_pkey" PRIMARY KEY ("scope")
);

-- Numbered once their transactions have ended, by whoever reads them next, one at a time: so a reader that goes on after a
-- position misses nothing, and no position means anything to one cluster of PostgreSQL alone.
CREATE TABLE "events" (
  "id" BIGSERIAL NOT NULL,
  "position" BIGINT,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "name" TEXT NOT NULL,
  "job_id" UUID,
  "type" TEXT,
  "queue" TEXT,
  "user_id" TEXT,
  "status" "job_status",
  "attempt" INTEGER,
  "runner_id" TEXT,
  "details" JSON,
  "callback" JSON,
  CONSTRAINT "events_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "events_position_idx" ON "events" ("position") WHERE "position" IS NOT NULL;
CREATE INDEX "events_unpublished_idx" ON "events" ("id") WHERE "position" IS NULL;

-- One row: the last position that was given. Locked by whoever gives the next ones.
CREATE TABLE "event_log" (
  "id" INTEGER NOT NULL,
  "position" BIGINT NOT NULL,
  CONSTRAINT "event_log_pkey" PRIMARY KEY ("id")
);
INSERT INTO "event_log" ("id", "position") VALUES (1, 0);

-- statistics ---------------------------------------------------------------------------------------------------------

CREATE TYPE "rollup_grain" AS ENUM ('minute', 'hour', 'day');
CREATE TYPE "rollup_dimension" AS ENUM ('all', 'queue', 'type', 'user', 'runner');

-- What ended within a minute, an hour or a day, by each dimension. Of a user's jobs also by dimension for that user alone.
CREATE TABLE "rollups" (
  "grain" "rollup_grain" NOT NULL,
  "dimension" "rollup_dimension" NOT NULL,
  "owner" TEXT NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "key" TEXT NOT NULL,
  "jobs_completed" BIGINT NOT NULL,
  "jobs_failed" BIGINT NOT NULL,
  "jobs_cancelled" BIGINT NOT NULL,
  "attempts_failed" BIGINT NOT NULL,
  "attempts_timed_out" BIGINT NOT NULL,
  "attempts_released" BIGINT NOT NULL,
  "attempts_cancelled" BIGINT NOT NULL,
  "retries" BIGINT NOT NULL,
  "wait_ms" DOUBLE PRECISION NOT NULL DEFAULT 0,
  "run_ms" DOUBLE PRECISION NOT NULL,
  "memory_bytes" DOUBLE PRECISION NOT NULL DEFAULT 0,
  "cpu_ms" DOUBLE PRECISION NOT NULL,
  "memory_peak_bytes" DOUBLE PRECISION,
  "cost" DOUBLE PRECISION NOT NULL,
  "wait_bins" SMALLINT[],
  "wait_counts" BIGINT[],
  "run_bins" SMALLINT[],
  "run_counts" BIGINT[],
  "memory_bins" SMALLINT[],
  "memory_counts" BIGINT[],
  CONSTRAINT "rollups_pkey" PRIMARY KEY ("grain", "dimension", "owner", "at", "key")
);
-- The rows of this minute, hour and day are written again and again.
ALTER TABLE "rollups" SET (fillfactor = 70, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX "rollups_at_idx" ON "rollups" ("grain", "at");

-- All that ended before this is in the rollups. Whoever removes what may not have been counted locks the row.
CREATE TABLE "rollup_progress" (
  "id" INTEGER NOT NULL,
  "counted_until" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "rollup_progress_pkey" PRIMARY KEY ("id")
);
INSERT INTO "rollup_progress" ("id", "counted_until") VALUES (1, '-infinity');

-- What ended, and was deleted or started again before it was counted. There are many of them when the count was late, and
-- jobs were deleted meanwhile.
CREATE TABLE "rollup_strays" (
  "id" BIGSERIAL NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "queue" TEXT NOT NULL,
  "type" TEXT NOT NULL,
  "user_id" TEXT,
  "runner_id" TEXT,
  "outcome" "attempt_outcome",
  "ending" "job_status",
  "is_retried" BOOLEAN NOT NULL,
  "wait_ms" DOUBLE PRECISION,
  "run_ms" DOUBLE PRECISION,
  "cpu_ms" DOUBLE PRECISION,
  "memory_peak_bytes" DOUBLE PRECISION,
  "cost" DOUBLE PRECISION,
  CONSTRAINT "rollup_strays_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "rollup_strays_at_idx" ON "rollup_strays" ("at");

-- webhooks -----------------------------------------------------------------------------------------------------------

CREATE TYPE "delivery_status" AS ENUM ('pending', 'delivered', 'failed');

CREATE TABLE "webhooks" (
  "id" UUID NOT NULL,
  "user_id" TEXT,
  "url" TEXT NOT NULL,
  "description" TEXT,
  "events" TEXT[],
  "queues" TEXT[],
  "types" TEXT[],
  "user_ids" TEXT[],
  "since" BIGINT NOT NULL,
  "disabled_at" TIMESTAMPTZ(6),
  "disabled_reason" TEXT,
  "failing_since" TIMESTAMPTZ(6),
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "updated_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "webhooks_user_id_idx" ON "webhooks" ("user_id", "id");

-- Of a webhook, or of the callbacks of one user's jobs ('': of those that producers and admins created).
CREATE TABLE "signing_secrets" (
  "id" UUID NOT NULL,
  "webhook_id" UUID,
  "callback_of" TEXT,
  "secret" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "expires_at" TIMESTAMPTZ(6),
  CONSTRAINT "signing_secrets_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "signing_secrets_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhooks" ("id") ON DELETE CASCADE,
  CONSTRAINT "signing_secrets_has_owner" CHECK (("webhook_id" IS NULL) <> ("callback_of" IS NULL))
);
CREATE INDEX "signing_secrets_webhook_idx" ON "signing_secrets" ("webhook_id") WHERE "webhook_id" IS NOT NULL;
CREATE INDEX "signing_secrets_callback_idx" ON "signing_secrets" ("callback_of") WHERE "callback_of" IS NOT NULL;
-- One current secret each; those that were rotated out expire.
CREATE UNIQUE INDEX "signing_secrets_webhook_current_idx" ON "signing_secrets" ("webhook_id") WHERE "webhook_id" IS NOT NULL AND "expires_at" IS NULL;
CREATE UNIQUE INDEX "signing_secrets_callback_current_idx" ON "signing_secrets" ("callback_of") WHERE "callback_of" IS NOT NULL AND "expires_at" IS NULL;

CREATE TABLE "webhook_deliveries" (
  "id" UUID NOT NULL,
  "webhook_id" UUID,
  "url" TEXT,
  "user_id" TEXT,
  "endpoint" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "data" JSON NOT NULL,
  "job_id" UUID,
  "status" "delivery_status" NOT NULL,
  "attempts" INTEGER NOT NULL DEFAULT 0,
  "failures" INTEGER NOT NULL DEFAULT 0,
  "next_at" TIMESTAMPTZ(6) NOT NULL,
  "lease_token" UUID,
  "attempted_at" TIMESTAMPTZ(6),
  "response_status" INTEGER,
  "error" TEXT,
  "duration_ms" INTEGER,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "finished_at" TIMESTAMPTZ(6),
  CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "webhook_deliveries_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhooks" ("id") ON DELETE CASCADE,
  CONSTRAINT "webhook_deliveries_has_url" CHECK (("webhook_id" IS NULL) = ("url" IS NOT NULL))
);
-- What is due, by receiver: a slow one stands in nobody's way.
CREATE INDEX "webhook_deliveries_due_idx" ON "webhook_deliveries" ("endpoint", "next_at", "id") WHERE "status" = 'pending';
CREATE INDEX "webhook_deliveries_webhook_idx" ON "webhook_deliveries" ("webhook_id", "id") WHERE "webhook_id" IS NOT NULL;
CREATE INDEX "webhook_deliveries_callback_idx" ON "webhook_deliveries" ("job_id", "id") WHERE "webhook_id" IS NULL;
CREATE INDEX "webhook_deliveries_finished_idx" ON "webhook_deliveries" ("finished_at") WHERE "finished_at" IS NOT NULL;

-- Up to where events have become deliveries. One row, which a coordinator locks while it goes on from there.
CREATE TABLE "webhook_outbox" (
  "id" INTEGER NOT NULL,
  "position" BIGINT NOT NULL,
  CONSTRAINT "webhook_outbox_pkey" PRIMARY KEY ("id")
);
INSERT INTO "webhook_outbox" ("id", "position") VALUES (1, 0);

-- alerts -------------------------------------------------------------------------------------------------------------

CREATE TYPE "alert_state" AS ENUM ('ok', 'pending', 'firing');

CREATE TABLE "alerts" (
  "id" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "measure" TEXT NOT NULL,
  "threshold" DOUBLE PRECISION NOT NULL,
  "window_ms" INTEGER NOT NULL,
  "for_ms" INTEGER NOT NULL,
  "queue" TEXT,
  "type" TEXT,
  "message" TEXT,
  "recovered_message" TEXT,
  "is_enabled" BOOLEAN NOT NULL,
  "state" "alert_state" NOT NULL,
  "since" TIMESTAMPTZ(6) NOT NULL,
  "value" DOUBLE PRECISION,
  "evaluated_at" TIMESTAMPTZ(6),
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "updated_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "alerts_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "alerts_name_key" ON "alerts" ("name");
