ALTER TABLE "queues"
  ADD COLUMN "user_rate_max" INTEGER,
  ADD COLUMN "user_rate_per_ms" BIGINT,
  ADD CONSTRAINT "queues_user_rate_is_whole" CHECK (("user_rate_max" IS NULL) = ("user_rate_per_ms" IS NULL));

-- How many jobs a user created in a queue of late: limits are counted from rows.
CREATE INDEX "jobs_user_created_idx" ON "jobs" ("queue", "user_id", "created_at") WHERE "user_id" IS NOT NULL;

ALTER TABLE "api_keys" ADD COLUMN "rotated_from" TEXT;

ALTER TABLE "bulk_operations" ADD COLUMN "requested_by" JSON;

CREATE TABLE "sessions" (
  "token_hash" TEXT NOT NULL,
  "key_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "expires_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "sessions_pkey" PRIMARY KEY ("token_hash"),
  CONSTRAINT "sessions_key_id_fkey" FOREIGN KEY ("key_id") REFERENCES "api_keys" ("id") ON DELETE CASCADE
);
CREATE INDEX "sessions_expires_at_idx" ON "sessions" ("expires_at");
CREATE INDEX "sessions_key_id_idx" ON "sessions" ("key_id");

CREATE TABLE "audit_log" (
  "id" UUID NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "action" TEXT NOT NULL,
  "target" TEXT,
  "key_id" TEXT NOT NULL,
  "key_name" TEXT NOT NULL,
  "role" TEXT NOT NULL,
  "user_id" TEXT,
  "address" TEXT NOT NULL,
  "request_id" TEXT NOT NULL,
  "details" JSON NOT NULL,
  CONSTRAINT "audit_log_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "audit_log_action_idx" ON "audit_log" ("action", "id");
CREATE INDEX "audit_log_target_idx" ON "audit_log" ("target", "id");
CREATE INDEX "audit_log_key_id_idx" ON "audit_log" ("key_id", "id");
