-- A link that opens one session of a key, once.
CREATE TABLE "session_links" (
  "token_hash" TEXT NOT NULL,
  "key_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(6) NOT NULL,
  "expires_at" TIMESTAMPTZ(6) NOT NULL,
  CONSTRAINT "session_links_pkey" PRIMARY KEY ("token_hash"),
  CONSTRAINT "session_links_key_id_fkey" FOREIGN KEY ("key_id") REFERENCES "api_keys" ("id") ON DELETE CASCADE
);
CREATE INDEX "session_links_expires_at_idx" ON "session_links" ("expires_at");
CREATE INDEX "session_links_key_id_idx" ON "session_links" ("key_id");
