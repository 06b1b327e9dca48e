ALTER TABLE "jobs" ADD COLUMN "fingerprint" TEXT;

-- The same as domain/dead-letters/fingerprint.ts makes: type, code and message, in which every word with a digit is a #.
UPDATE "jobs" SET "fingerprint" = left(md5(concat_ws(E'\n', "type", COALESCE("error" ->> 'code', ''),
  regexp_replace(left(split_part("error" ->> 'message', E'\n', 1), 500), '[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*', '#', 'g'))), 16)
WHERE "status" = 'failed';

CREATE INDEX "jobs_fingerprint_idx" ON "jobs" ("fingerprint", "id") WHERE "status" = 'failed';
