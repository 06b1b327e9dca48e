CREATE TYPE "job_status" AS ENUM ('blocked', 'pending', 'running', 'completed', 'failed', 'cancelled');
CREATE TYPE "attempt_outcome" AS ENUM ('running', 'completed', 'failed', 'timed_out', 'released', 'cancelled');
CREATE TYPE "api_key_role" AS ENUM ('admin', 'producer', 'user', 'runner', 'viewer');
CREATE TYPE "log_level" AS ENUM ('debug', 'info', 'warn', 'error');

CREATE TABLE "lanes" (
  "id" SERIAL NOT NULL,
  "queue" TEXT NOT NULL,
  "type" TEXT NOT NULL,
  "priority" SMALLINT NOT NULL,
  "requires" JSON,
  "key" TEXT NOT NULL,
  CONSTRAINT "lanes_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "lanes_key_key" ON "lanes" ("key");

CREATE TABLE "jobs" (
  "id" UUID NOT NULL,
  "type" TEXT NOT NULL,
  "queue" TEXT NOT NULL,
  "priority" SMALLINT NOT NULL,
  "status" "job_status" NOT NULL,
  "reason" TEXT,
  "lane_id" INTEGER NOT NULL,
  "run_at" TIMESTAMPTZ(6) NOT NULL,
  "arguments" JSON NOT NULL,
  "result" JSON,
  "error" JSON,
  "metadata" JSON,
  "requires" JSON,
  "tags" TEXT[],
  "user_id" TEXT,
  "unique_key" TEXT,
  "unique_until" TIMESTAMPTZ(6),
  "expires_at" TIMESTAMPTZ(6),
  "attempt" INTEGER NOT NULL DEFAULT 0,
  "failures" INTEGER NOT NULL DEFAULT 0,
  "max_attempts" INTEGER NOT NULL,
  "retry" JSON,
  "timeout_ms" INTEGER NOT NULL,
  "runner_id" TEXT,
  "claim_id" TEXT,
  "lease_token" UUID,
  "lease_ms" INTEGER,
  "lease_expires_at" TIMESTAMPTZ(6),
  "deadline_at" TIMESTAMPTZ(6),
  "progress" JSON,
  "checkpoint" JSON,
  "metrics" JSON,
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
  CONSTRAINT "jobs_finished_has_time" CHECK (("status" IN ('completed', 'failed', 'cancelled')) = ("finished_at" IS NOT NULL))
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

-- The claim: within a lane, the oldest that is due. Finished and running jobs are not in it.
CREATE INDEX "jobs_claim_idx" ON "jobs" ("lane_id", "run_at", "id") WHERE "status" = 'pending';
-- Held jobs: the timeout monitor walks it whole, a repeated claim finds its jobs in it. Nothing in it changes while a
-- lease is extended.
CREATE INDEX "jobs_running_idx" ON "jobs" ("runner_id", "claim_id") WHERE "status" = 'running';
CREATE INDEX "jobs_expiry_idx" ON "jobs" ("expires_at") WHERE "expires_at" IS NOT NULL AND "status" IN ('pending', 'blocked');
-- One unfinished job for each unique key, of each user.
CREATE UNIQUE INDEX "jobs_unique_idx" ON "jobs" ("type", "unique_key", (COALESCE("user_id", '')))
  WHERE "unique_key" IS NOT NULL AND "status" IN ('blocked', 'pending', 'running');
CREATE INDEX "jobs_unique_until_idx" ON "jobs" ("type", "unique_key") WHERE "unique_until" IS NOT NULL;
-- The dead-letter queue, and lists of what a user, or a kind of ending, has.
CREATE INDEX "jobs_failed_idx" ON "jobs" ("id") WHERE "status" = 'failed';
CREATE INDEX "jobs_cancelled_idx" ON "jobs" ("id") WHERE "status" = 'cancelled';
CREATE INDEX "jobs_user_idx" ON "jobs" ("user_id", "id") WHERE "user_id" IS NOT NULL;

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
  CONSTRAINT "attempts_pkey" PRIMARY KEY ("job_id", "attempt"),
  CONSTRAINT "attempts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

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

CREATE TABLE "idempotency_keys" (
  "scope" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "request_hash" TEXT NOT NULL,
  "job_id" UUID NOT NULL,
  CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("scope", "key"),
  CONSTRAINT "idempotency_keys_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "idempotency_keys_job_id_idx" ON "idempotency_keys" ("job_id");

CREATE TABLE "runners" (
  "id" TEXT NOT NULL,
  "types" TEXT[],
  "queues" TEXT[],
  "labels" JSON NOT NULL,
  "version" TEXT,
  "first_seen_at" TIMESTAMPTZ(6) NOT NULL,
  "last_seen_at" TIMESTAMPTZ(6) NOT NULL,
  "draining_since" TIMESTAMPTZ(6),
  CONSTRAINT "runners_pkey" PRIMARY KEY ("id")
);

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
  CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "api_keys_user_is_bound" CHECK (("role" = 'user') = ("user_id" IS NOT NULL))
);
CREATE UNIQUE INDEX "api_keys_secret_hash_key" ON "api_keys" ("secret_hash");
