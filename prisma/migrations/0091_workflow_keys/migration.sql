-- The key under which a workflow was created, and the one with which links to its gates are signed.
ALTER TABLE "workflows"
  ADD COLUMN "idempotency_scope" TEXT,
  ADD COLUMN "idempotency_key" TEXT,
  ADD COLUMN "request_hash" TEXT,
  ADD COLUMN "link_secret" TEXT NOT NULL DEFAULT '';
ALTER TABLE "workflows" ALTER COLUMN "link_secret" DROP DEFAULT;
CREATE UNIQUE INDEX "workflows_idempotency_key" ON "workflows" ("idempotency_scope", "idempotency_key");
