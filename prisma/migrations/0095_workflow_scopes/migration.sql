-- The queues and types of all jobs that a workflow was ever given: keys that are limited see those within their limits.
ALTER TABLE "workflows" ADD COLUMN "queues" TEXT[], ADD COLUMN "types" TEXT[];
UPDATE "workflows" w SET
  "queues" = ARRAY(SELECT DISTINCT j."queue" FROM "jobs" j WHERE j."workflow_id" = w."id" AND j."queue" <> ''),
  "types" = ARRAY(SELECT DISTINCT j."type" FROM "jobs" j WHERE j."workflow_id" = w."id" AND j."queue" <> '');
