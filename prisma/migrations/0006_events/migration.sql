-- What somebody wants to hear of: `all`, or one queue, type, user or job. Events are written down only for these.
CREATE TABLE "event_watches" (
  "scope" TEXT NOT NULL,
  "since" BIGINT NOT NULL,
  "until_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "event_watches_pkey" PRIMARY KEY ("scope")
);

-- In the order of transactions, not of ids: a reader that stops before the oldest transaction under way misses nothing.
CREATE TABLE "events" (
  "xact" BIGINT NOT NULL,
  "id" BIGSERIAL NOT NULL,
  "at" TIMESTAMPTZ(6) NOT NULL,
  "name" TEXT NOT NULL,
  "job_id" UUID NOT NULL,
  "type" TEXT NOT NULL,
  "queue" TEXT NOT NULL,
  "user_id" TEXT,
  "status" "job_status" NOT NULL,
  "attempt" INTEGER NOT NULL,
  "runner_id" TEXT,
  "details" JSON,
  CONSTRAINT "events_pkey" PRIMARY KEY ("xact", "id")
);
