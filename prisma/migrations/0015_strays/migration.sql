-- There are many of them when the count was late, and jobs were deleted meanwhile.
CREATE INDEX "rollup_strays_at_idx" ON "rollup_strays" ("at");
