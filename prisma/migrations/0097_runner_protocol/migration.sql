-- The version of the protocol that a runner speaks; those of before there was one speak the first.
ALTER TABLE "runners" ADD COLUMN "protocol" INTEGER NOT NULL DEFAULT 1;
