-- JSON Schemas that runners publish of their types, each kept once, and the sets in which runners publish them.
CREATE TABLE "type_schemas" (
  "type" TEXT NOT NULL,
  "hash" TEXT NOT NULL,
  "arguments" JSON,
  "result" JSON,
  "first_seen_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "type_schemas_pkey" PRIMARY KEY ("type", "hash")
);

CREATE TABLE "type_sets" (
  "id" TEXT NOT NULL,
  "types" JSONB NOT NULL,
  "published_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "type_sets_pkey" PRIMARY KEY ("id")
);

ALTER TABLE "runners" ADD COLUMN "type_set" TEXT;
ALTER TABLE "queues" ADD COLUMN "check_arguments" BOOLEAN NOT NULL DEFAULT false;
