-- Events are numbered once their transactions have ended, by whoever reads them next, one at a time: so a reader that goes
-- on after a position misses nothing, and no position means anything to one cluster of PostgreSQL alone.
DROP TABLE "events";
CREATE TABLE "events" (
  "id" BIGSERIAL NOT NULL,
  "position" BIGINT,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "name" TEXT NOT NULL,
  "job_id" UUID,
  "type" TEXT,
  "queue" TEXT,
  "user_id" TEXT,
  "status" "job_status",
  "attempt" INTEGER,
  "runner_id" TEXT,
  "details" JSON,
  "callback" JSON,
  CONSTRAINT "events_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "events_position_idx" ON "events" ("position") WHERE "position" IS NOT NULL;
CREATE INDEX "events_unpublished_idx" ON "events" ("id") WHERE "position" IS NULL;

-- One row: the last position that was given. Locked by whoever gives the next ones.
CREATE TABLE "event_log" (
  "id" INTEGER NOT NULL,
  "position" BIGINT NOT NULL,
  CONSTRAINT "event_log_pkey" PRIMARY KEY ("id")
);
INSERT INTO "event_log" ("id", "position") VALUES (1, 0);

DELETE FROM "event_watches";
UPDATE "webhooks" SET "since" = 0;
DROP TABLE "webhook_outbox";
CREATE TABLE "webhook_outbox" (
  "id" INTEGER NOT NULL,
  "position" BIGINT NOT NULL,
  CONSTRAINT "webhook_outbox_pkey" PRIMARY KEY ("id")
);
INSERT INTO "webhook_outbox" ("id", "position") VALUES (1, 0);
