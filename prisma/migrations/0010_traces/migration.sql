-- The trace that the job's create belongs to: its traceparent, and after a space its tracestate. Null: none.
ALTER TABLE "jobs" ADD COLUMN "trace" TEXT;
