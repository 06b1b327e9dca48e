CREATE TYPE "rollup_grain" AS ENUM ('minute', 'hour', 'day');
CREATE TYPE "rollup_dimension" AS ENUM ('all', 'queue', 'type', 'user', 'runner');

-- When the attempt's job had become due: its run_at at the claim, which the next try overwrites.
ALTER TABLE "attempts" ADD COLUMN "due_at" TIMESTAMPTZ(6);
-- Attempts that ended since the last count. Those of jobs that go well are not in this table.
CREATE INDEX "attempts_finished_idx" ON "attempts" ("finished_at");

ALTER TABLE "queues"
  ADD COLUMN "cost_base" DOUBLE PRECISION,
  ADD COLUMN "cost_per_second" DOUBLE PRECISION,
  ADD COLUMN "cost_per_gb_second" DOUBLE PRECISION,
  ADD CONSTRAINT "queues_cost_is_whole" CHECK (("cost_base" IS NULL) = ("cost_per_second" IS NULL) AND ("cost_base" IS NULL) = ("cost_per_gb_second" IS NULL));

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
  "run_ms" DOUBLE PRECISION NOT NULL,
  "cpu_ms" DOUBLE PRECISION NOT NULL,
  "memory_peak_bytes" DOUBLE PRECISION,
  "cost" DOUBLE PRECISION NOT NULL,
  "wait_bins" SMALLINT[],
  "wait_counts" BIGINT[],
  "run_bins" SMALLINT[],
  "run_counts" BIGINT[],
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

-- What ended, and was deleted or started again before it was counted.
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
