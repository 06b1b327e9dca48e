CREATE TYPE "job_hold" AS ENUM ('key', 'order');
CREATE TYPE "bulk_verb" AS ENUM ('cancel', 'retry', 'purge', 'prioritise');

ALTER TABLE "lanes" ADD COLUMN "prefers" JSON;
CREATE INDEX "lanes_queue_priority_idx" ON "lanes" ("queue", "priority");

ALTER TABLE "jobs"
  ADD COLUMN "position" TIMESTAMPTZ(6),
  ADD COLUMN "hold" "job_hold",
  ADD COLUMN "prefers" JSON,
  ADD COLUMN "concurrency_key" TEXT,
  ADD COLUMN "order_key" TEXT,
  ADD COLUMN "order_seq" BIGINT,
  ADD COLUMN "order_blocks" BOOLEAN NOT NULL DEFAULT false;

UPDATE "jobs" SET "position" = "run_at" WHERE "status" = 'pending' AND "run_at" <= now();

CREATE SEQUENCE "jobs_order_seq" AS BIGINT;

-- The claim: within a lane, the next in turn. Jobs that are not due yet, or held, are not in it, so that no claim ever
-- walks over them.
DROP INDEX "jobs_claim_idx";
CREATE INDEX "jobs_claim_idx" ON "jobs" ("lane_id", "position", "id") WHERE "status" = 'pending' AND "position" IS NOT NULL;
-- What becomes due next.
CREATE INDEX "jobs_due_idx" ON "jobs" ("run_at") WHERE "status" = 'pending' AND "position" IS NULL AND "hold" IS NULL;
-- A user's, or a key's, last turn in a queue.
CREATE INDEX "jobs_turn_idx" ON "jobs" ("queue", "priority", (COALESCE("concurrency_key", "user_id")), "position")
  WHERE "status" = 'pending' AND "position" IS NOT NULL AND COALESCE("concurrency_key", "user_id") IS NOT NULL;
-- How many of a queue, or of a key in it, run. Limits are counted from rows.
CREATE INDEX "jobs_running_queue_idx" ON "jobs" ("queue", "concurrency_key") WHERE "status" = 'running';
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
CREATE INDEX "jobs_finished_idx" ON "jobs" ("finished_at") WHERE "finished_at" IS NOT NULL;

-- Only a waiting job is held or in turn.
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_only_waiting_is_held" CHECK ("status" IN ('pending', 'blocked') OR "hold" IS NULL);
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_held_is_not_in_turn" CHECK ("hold" IS NULL OR "position" IS NULL);

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
  "is_fair" BOOLEAN NOT NULL DEFAULT true,
  CONSTRAINT "queues_pkey" PRIMARY KEY ("name"),
  CONSTRAINT "queues_rate_is_whole" CHECK (("rate_max" IS NULL) = ("rate_per_ms" IS NULL))
);

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
  CONSTRAINT "bulk_operations_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "bulk_operations_open_idx" ON "bulk_operations" ("created_at") WHERE "finished_at" IS NULL;
