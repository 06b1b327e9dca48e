-- Lanes are forgotten when no job in turn needs them, and each maker may have so many. Only their numbers are kept here.
ALTER TABLE "lanes"
  ADD COLUMN "made_by" TEXT NOT NULL DEFAULT '',
  ADD COLUMN "made_at" TIMESTAMPTZ(6) NOT NULL DEFAULT now();
ALTER TABLE "lanes" ALTER COLUMN "made_by" DROP DEFAULT, ALTER COLUMN "made_at" DROP DEFAULT;
CREATE INDEX "lanes_made_by_idx" ON "lanes" ("made_by");
DROP INDEX "lanes_queue_priority_idx";
