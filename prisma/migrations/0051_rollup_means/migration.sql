-- The defaults let a coordinator of the version before go on counting.
ALTER TABLE "rollups"
  ADD COLUMN "wait_ms" DOUBLE PRECISION NOT NULL DEFAULT 0,
  ADD COLUMN "memory_bytes" DOUBLE PRECISION NOT NULL DEFAULT 0,
  ADD COLUMN "memory_bins" SMALLINT[],
  ADD COLUMN "memory_counts" BIGINT[];
