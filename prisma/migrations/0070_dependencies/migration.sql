-- Jobs that wait for others, and workflows of such jobs.
CREATE TYPE "workflow_status" AS ENUM ('running', 'completed', 'failed', 'cancelled');

ALTER TABLE "jobs"
  ADD COLUMN "depends_on" UUID[],
  ADD COLUMN "awaited" BOOLEAN NOT NULL DEFAULT false,
  ADD COLUMN "workflow_id" UUID,
  ADD COLUMN "workflow_key" TEXT,
  ADD COLUMN "batch_id" UUID;

-- Whether a workflow has unfinished jobs, and how many of each status, are both read from here: a counter in its row would
-- be locked by the end of each of its jobs.
CREATE INDEX "jobs_workflow_idx" ON "jobs" ("workflow_id", "status", "id") WHERE "workflow_id" IS NOT NULL;

CREATE TABLE "dependencies" (
  "job_id" UUID NOT NULL,
  "parent_id" UUID NOT NULL,
  "outcome" "job_status",
  "tolerates_failure" BOOLEAN NOT NULL DEFAULT false,
  "waived" BOOLEAN NOT NULL DEFAULT false,
  CONSTRAINT "dependencies_pkey" PRIMARY KEY ("job_id", "parent_id")
);
-- No foreign key: it would cost the deletion of every job, and the one statement that deletes jobs deletes these too.
-- What may not be deleted yet, because it is needed.
CREATE INDEX "dependencies_parent_id_idx" ON "dependencies" ("parent_id");
-- Who is to be told that a parent has ended.
CREATE INDEX "dependencies_unsettled_idx" ON "dependencies" ("parent_id", "job_id") WHERE "outcome" IS NULL;

CREATE TABLE "workflows" (
  "id" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "user_id" TEXT,
  "status" "workflow_status" NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "finished_at" TIMESTAMPTZ(6),
  CONSTRAINT "workflows_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "workflows_running_idx" ON "workflows" ("id") WHERE "status" = 'running';
CREATE INDEX "workflows_user_idx" ON "workflows" ("user_id", "id") WHERE "user_id" IS NOT NULL;
CREATE INDEX "workflows_over_idx" ON "workflows" ("status", "finished_at") WHERE "finished_at" IS NOT NULL;
