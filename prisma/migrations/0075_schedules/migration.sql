CREATE TABLE "schedules" (
  "id" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "user_id" TEXT,
  "cron" TEXT,
  "every_ms" BIGINT,
  "timezone" TEXT NOT NULL,
  "job" JSON NOT NULL,
  "queue" TEXT NOT NULL,
  "type" TEXT NOT NULL,
  "overlap" TEXT NOT NULL,
  "catch_up" TEXT NOT NULL,
  "catch_up_window_ms" BIGINT NOT NULL,
  "jitter_ms" INTEGER NOT NULL,
  "starts_at" TIMESTAMPTZ(6),
  "ends_at" TIMESTAMPTZ(6),
  "max_runs" INTEGER,
  "runs" INTEGER NOT NULL DEFAULT 0,
  "ticks" BIGINT NOT NULL DEFAULT 0,
  "paused_at" TIMESTAMPTZ(6),
  "paused_by" TEXT,
  "paused_reason" TEXT,
  "next_at" TIMESTAMPTZ(6),
  "due_at" TIMESTAMPTZ(6),
  "last_tick_at" TIMESTAMPTZ(6),
  "buffered_at" TIMESTAMPTZ(6),
  "superseded_by" UUID,
  "key_id" TEXT NOT NULL,
  "caller" JSON NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "updated_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "schedules_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "schedules_timing_check" CHECK (("cron" IS NULL) <> ("every_ms" IS NULL))
);
-- Nobody's are those of one owner, too.
CREATE UNIQUE INDEX "schedules_name_idx" ON "schedules" (COALESCE("user_id", ''), "name");
CREATE INDEX "schedules_due_idx" ON "schedules" ("due_at") WHERE "due_at" IS NOT NULL;
CREATE INDEX "schedules_buffered_idx" ON "schedules" ("buffered_at") WHERE "buffered_at" IS NOT NULL;
CREATE INDEX "schedules_superseded_idx" ON "schedules" ("superseded_by") WHERE "superseded_by" IS NOT NULL;

CREATE TYPE "tick_outcome" AS ENUM ('created', 'skipped', 'buffered', 'refused');
CREATE TYPE "tick_trigger" AS ENUM ('time', 'run', 'backfill');

CREATE TABLE "schedule_ticks" (
  "schedule_id" UUID NOT NULL,
  "nth" BIGINT NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "outcome" "tick_outcome" NOT NULL,
  "trigger" "tick_trigger" NOT NULL,
  "job_id" UUID,
  "reason" TEXT,
  "message" TEXT,
  "recorded_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "schedule_ticks_pkey" PRIMARY KEY ("schedule_id", "nth"),
  CONSTRAINT "schedule_ticks_schedule_id_fkey" FOREIGN KEY ("schedule_id") REFERENCES "schedules" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
-- What makes each tick fire once, whatever else goes wrong. A run by hand is no tick.
CREATE UNIQUE INDEX "schedule_ticks_at_idx" ON "schedule_ticks" ("schedule_id", "at") WHERE "trigger" <> 'run';
CREATE INDEX "schedule_ticks_recorded_at_idx" ON "schedule_ticks" ("recorded_at");

-- Jobs of no schedule, which most are, are in neither index.
ALTER TABLE "jobs" ADD COLUMN "schedule_id" UUID;
CREATE INDEX "jobs_schedule_idx" ON "jobs" ("schedule_id", "id") WHERE "schedule_id" IS NOT NULL;
CREATE INDEX "jobs_schedule_unfinished_idx" ON "jobs" ("schedule_id") WHERE "schedule_id" IS NOT NULL AND "status" IN ('blocked', 'pending', 'running');
