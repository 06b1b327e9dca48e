CREATE TYPE "alert_state" AS ENUM ('ok', 'pending', 'firing');

CREATE TABLE "alerts" (
  "id" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "measure" TEXT NOT NULL,
  "threshold" DOUBLE PRECISION NOT NULL,
  "window_ms" INTEGER NOT NULL,
  "for_ms" INTEGER NOT NULL,
  "queue" TEXT,
  "type" TEXT,
  "message" TEXT,
  "recovered_message" TEXT,
  "is_enabled" BOOLEAN NOT NULL,
  "state" "alert_state" NOT NULL,
  "since" TIMESTAMPTZ(6) NOT NULL,
  "value" DOUBLE PRECISION,
  "evaluated_at" TIMESTAMPTZ(6),
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "updated_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "alerts_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "alerts_name_key" ON "alerts" ("name");
