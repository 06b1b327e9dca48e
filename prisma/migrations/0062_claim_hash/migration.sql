-- Each job that runs is in the index of claims, where eight bytes do for a name of forty.
DROP INDEX "jobs_running_idx";
ALTER TABLE "jobs" DROP COLUMN "claim_id", ADD COLUMN "claim_hash" BIGINT;
CREATE INDEX "jobs_running_idx" ON "jobs" ("runner_id", "claim_hash") WHERE "status" = 'running';
