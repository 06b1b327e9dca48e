-- The gates that wait, of one workflow or of all.
CREATE INDEX "jobs_gate_idx" ON "jobs" ("workflow_id") WHERE "queue" = '' AND "status" = 'blocked';
