-- A claim looks for jobs that were given out under its own id before, by runner and claim. This index can be used for that
-- too, by walking over all that runs; the planner, who believes that nothing runs, cannot tell the two apart. Now only
-- those who name a queue can use it.
DROP INDEX "jobs_running_queue_idx";
CREATE INDEX "jobs_running_queue_idx" ON "jobs" ("queue", "concurrency_key") WHERE "status" = 'running' AND "queue" IS NOT NULL;
