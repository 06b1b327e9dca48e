-- Arguments and results that are kept in an object store, and which jobs name them.
CREATE TABLE "objects" (
  "id" UUID NOT NULL,
  "user_id" TEXT,
  "sha256" TEXT NOT NULL,
  "bytes" BIGINT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT now(),
  "used_at" TIMESTAMPTZ(6) NOT NULL DEFAULT now(),
  "deleting_at" TIMESTAMPTZ(6),
  CONSTRAINT "objects_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "objects_used_at_idx" ON "objects" ("used_at");

CREATE TABLE "object_uses" (
  "object_id" UUID NOT NULL,
  "job_id" UUID NOT NULL,
  "checked_at" TIMESTAMPTZ(6) NOT NULL DEFAULT now(),
  CONSTRAINT "object_uses_pkey" PRIMARY KEY ("object_id", "job_id")
);
CREATE INDEX "object_uses_checked_at_idx" ON "object_uses" ("checked_at");
