-- Batches: many jobs that are handled as one.
CREATE TYPE "batch_status" AS ENUM ('open', 'running', 'completed', 'failed', 'cancelled');

CREATE TABLE "batches" (
  "id" UUID NOT NULL,
  "name" TEXT,
  "user_id" TEXT,
  "metadata" JSON,
  "status" "batch_status" NOT NULL,
  "reason" TEXT,
  "caller" JSON NOT NULL,
  "key_id" TEXT NOT NULL,
  "callbacks" JSON NOT NULL,
  "callback_jobs" JSON NOT NULL,
  "callback_errors" JSON NOT NULL,
  "callbacks_due" BOOLEAN NOT NULL DEFAULT false,
  "counts" JSON,
  "idempotency_scope" TEXT,
  "idempotency_key" TEXT,
  "request_hash" TEXT,
  "job_ids" UUID[],
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "sealed_at" TIMESTAMPTZ(6),
  "cancelled_at" TIMESTAMPTZ(6),
  "finished_at" TIMESTAMPTZ(6),
  CONSTRAINT "batches_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "batches_idempotency_idx" ON "batches" ("idempotency_scope", "idempotency_key")
  WHERE "idempotency_key" IS NOT NULL;
CREATE INDEX "batches_running_idx" ON "batches" ("id") WHERE "status" = 'running' OR "callbacks_due";
CREATE INDEX "batches_user_idx" ON "batches" ("user_id", "id") WHERE "user_id" IS NOT NULL;
CREATE INDEX "batches_over_idx" ON "batches" ("status", "finished_at") WHERE "finished_at" IS NOT NULL;

-- Whether a batch has unfinished jobs, and how many of each status: a counter in its row would be locked by the end of each.
CREATE INDEX "jobs_batch_idx" ON "jobs" ("batch_id", "status") WHERE "batch_id" IS NOT NULL;
-- Its jobs and their results, in the order in which they were added.
CREATE INDEX "jobs_batch_order_idx" ON "jobs" ("batch_id", "id") WHERE "batch_id" IS NOT NULL;
