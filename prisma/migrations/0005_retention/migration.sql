ALTER TABLE "queues"
  ADD COLUMN "keep_completed_ms" BIGINT,
  ADD COLUMN "keep_failed_ms" BIGINT,
  ADD COLUMN "keep_cancelled_ms" BIGINT;

-- What is over, by queue, kind of ending and time: retention takes the oldest of each queue without walking over those
-- that another queue keeps longer.
CREATE INDEX "jobs_over_idx" ON "jobs" ("queue", "status", "finished_at") WHERE "finished_at" IS NOT NULL;
DROP INDEX "jobs_finished_idx";
