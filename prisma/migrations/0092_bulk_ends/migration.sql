-- Bulk operations can be cancelled, or fail; and take turns by when they last came on.
CREATE TYPE "bulk_end" AS ENUM ('cancelled', 'failed');
ALTER TABLE "bulk_operations"
  ADD COLUMN "ended_as" "bulk_end",
  ADD COLUMN "error" JSON,
  ADD COLUMN "progressed_at" TIMESTAMPTZ(6);
