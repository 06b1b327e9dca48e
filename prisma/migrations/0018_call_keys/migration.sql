-- The key of a whole call: its jobs, in the order of the call. Null for the key of a single job.
ALTER TABLE "idempotency_keys" ADD COLUMN "job_ids" UUID[];
