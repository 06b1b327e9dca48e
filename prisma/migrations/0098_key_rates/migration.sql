-- A rate for each concurrency key of a queue.
ALTER TABLE "queues" ADD COLUMN "key_rate_max" INTEGER, ADD COLUMN "key_rate_per_ms" BIGINT;

-- The token buckets that are not full. A bucket is told by the moment when it is full again: what is missing until then
-- is what was spent. Without a row it is full.
CREATE TABLE "key_buckets" (
  "queue" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "full_at" TIMESTAMPTZ(6) NOT NULL,
  "next_at" TIMESTAMPTZ(6),
  CONSTRAINT "key_buckets_pkey" PRIMARY KEY ("queue", "key")
);
CREATE INDEX "key_buckets_full_idx" ON "key_buckets" ("full_at");
CREATE INDEX "key_buckets_next_idx" ON "key_buckets" ("next_at") WHERE "next_at" IS NOT NULL;
