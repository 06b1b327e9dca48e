-- baton: no transaction
-- A gate by its key, however many jobs its workflow has.
CREATE INDEX CONCURRENTLY "jobs_gate_key_idx" ON "jobs" ("workflow_id", "workflow_key") WHERE "queue" = '';
