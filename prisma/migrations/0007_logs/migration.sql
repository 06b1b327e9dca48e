CREATE TABLE "job_log_totals" (
  "job_id" UUID NOT NULL,
  "lines" INTEGER NOT NULL,
  "dropped" INTEGER NOT NULL DEFAULT 0,
  "mark_seq" BIGINT,
  CONSTRAINT "job_log_totals_pkey" PRIMARY KEY ("job_id"),
  CONSTRAINT "job_log_totals_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

INSERT INTO "job_log_totals" ("job_id", "lines") SELECT "job_id", count(*) FROM "job_logs" GROUP BY 1;
