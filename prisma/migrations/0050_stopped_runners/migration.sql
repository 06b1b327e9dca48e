-- A runner that has said goodbye is stopped, and not lost.
ALTER TABLE "runners" ADD COLUMN "stopped_at" TIMESTAMPTZ(6);
