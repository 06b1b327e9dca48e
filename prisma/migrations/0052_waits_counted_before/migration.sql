-- What was counted before has no sum of its waits. It is estimated from their bins, each at most 4.77 % off. Apart from
-- the migration that adds the column, whose lock would keep readers out meanwhile.
UPDATE "rollups" r SET "wait_ms" = (
  SELECT COALESCE(sum(u.n * CASE WHEN u.bin = 0 THEN 0.5 ELSE 2 * 1.1::float8 ^ u.bin / 2.1 END), 0)
  FROM unnest(r."wait_bins", r."wait_counts") u (bin, n)
) WHERE cardinality(r."wait_bins") > 0;
