-- How many jobs may wait in a queue before creates are refused.
ALTER TABLE "queues" ADD COLUMN "max_waiting" INTEGER;

-- Lists of the jobs of one key, and of those whose priority is another than most have. Jobs without them cost nothing.
CREATE INDEX "jobs_concurrency_key_idx" ON "jobs" ("concurrency_key", "id") WHERE "concurrency_key" IS NOT NULL;
CREATE INDEX "jobs_order_key_idx" ON "jobs" ("order_key", "id") WHERE "order_key" IS NOT NULL;
CREATE INDEX "jobs_unique_key_idx" ON "jobs" ("unique_key", "id") WHERE "unique_key" IS NOT NULL;
CREATE INDEX "jobs_priority_idx" ON "jobs" ("priority", "id") WHERE "priority" <> 0;
