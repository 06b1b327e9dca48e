-- Where to tell that a job has finished, and whose secret signs it: {"url", "userId"}.
ALTER TABLE "jobs" ADD COLUMN "callback" JSON;

-- Events are also what happens to other things than jobs: alerts, webhooks.
ALTER TABLE "events"
  ADD COLUMN "callback" JSON,
  ALTER COLUMN "job_id" DROP NOT NULL,
  ALTER COLUMN "type" DROP NOT NULL,
  ALTER COLUMN "queue" DROP NOT NULL,
  ALTER COLUMN "status" DROP NOT NULL,
  ALTER COLUMN "attempt" DROP NOT NULL;

CREATE TYPE "delivery_status" AS ENUM ('pending', 'delivered', 'failed');

CREATE TABLE "webhooks" (
  "id" UUID NOT NULL,
  "user_id" TEXT,
  "url" TEXT NOT NULL,
  "description" TEXT,
  "events" TEXT[],
  "queues" TEXT[],
  "types" TEXT[],
  "user_ids" TEXT[],
  "since" BIGINT NOT NULL,
  "disabled_at" TIMESTAMPTZ(6),
  "disabled_reason" TEXT,
  "failing_since" TIMESTAMPTZ(6),
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "updated_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "webhooks_user_id_idx" ON "webhooks" ("user_id", "id");

-- Of a webhook, or of the callbacks of one user's jobs ('': of those that producers and admins created).
CREATE TABLE "signing_secrets" (
  "id" UUID NOT NULL,
  "webhook_id" UUID,
  "callback_of" TEXT,
  "secret" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "expires_at" TIMESTAMPTZ(6),
  CONSTRAINT "signing_secrets_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "signing_secrets_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhooks" ("id") ON DELETE CASCADE,
  CONSTRAINT "signing_secrets_has_owner" CHECK (("webhook_id" IS NULL) <> ("callback_of" IS NULL))
);
CREATE INDEX "signing_secrets_webhook_idx" ON "signing_secrets" ("webhook_id") WHERE "webhook_id" IS NOT NULL;
CREATE INDEX "signing_secrets_callback_idx" ON "signing_secrets" ("callback_of") WHERE "callback_of" IS NOT NULL;
-- One current secret each; those that were rotated out expire.
CREATE UNIQUE INDEX "signing_secrets_webhook_current_idx" ON "signing_secrets" ("webhook_id") WHERE "webhook_id" IS NOT NULL AND "expires_at" IS NULL;
CREATE UNIQUE INDEX "signing_secrets_callback_current_idx" ON "signing_secrets" ("callback_of") WHERE "callback_of" IS NOT NULL AND "expires_at" IS NULL;

CREATE TABLE "webhook_deliveries" (
  "id" UUID NOT NULL,
  "webhook_id" UUID,
  "url" TEXT,
  "user_id" TEXT,
  "endpoint" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "data" JSON NOT NULL,
  "job_id" UUID,
  "status" "delivery_status" NOT NULL,
  "attempts" INTEGER NOT NULL DEFAULT 0,
  "failures" INTEGER NOT NULL DEFAULT 0,
  "next_at" TIMESTAMPTZ(6) NOT NULL,
  "lease_token" UUID,
  "attempted_at" TIMESTAMPTZ(6),
  "response_status" INTEGER,
  "error" TEXT,
  "duration_ms" INTEGER,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "finished_at" TIMESTAMPTZ(6),
  CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "webhook_deliveries_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhooks" ("id") ON DELETE CASCADE,
  CONSTRAINT "webhook_deliveries_has_url" CHECK (("webhook_id" IS NULL) = ("url" IS NOT NULL))
);
-- What is due, by receiver: a slow one stands in nobody's way.
CREATE INDEX "webhook_deliveries_due_idx" ON "webhook_deliveries" ("endpoint", "next_at", "id") WHERE "status" = 'pending';
CREATE INDEX "webhook_deliveries_webhook_idx" ON "webhook_deliveries" ("webhook_id", "id") WHERE "webhook_id" IS NOT NULL;
CREATE INDEX "webhook_deliveries_callback_idx" ON "webhook_deliveries" ("job_id", "id") WHERE "webhook_id" IS NULL;
CREATE INDEX "webhook_deliveries_finished_idx" ON "webhook_deliveries" ("finished_at") WHERE "finished_at" IS NOT NULL;

-- Up to where events have become deliveries. One row, which a coordinator locks while it goes on from there.
CREATE TABLE "webhook_outbox" (
  "id" INTEGER NOT NULL,
  "xact" BIGINT NOT NULL,
  "event_id" BIGINT NOT NULL,
  CONSTRAINT "webhook_outbox_pkey" PRIMARY KEY ("id")
);
INSERT INTO "webhook_outbox" ("id", "xact", "event_id") VALUES (1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, 0);
