-- A foreign key looks each job up again that was stored in the same statement, which took a third of a keyed create. What
-- it was there for, that a key goes with its job, is done once for each statement that deletes jobs. That no key stands
-- for a job that is gone: a key is stored with its job, or while its job is locked.
ALTER TABLE "idempotency_keys" DROP CONSTRAINT "idempotency_keys_job_id_fkey";

CREATE FUNCTION "delete_idempotency_keys"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM "idempotency_keys";
  ELSE
    DELETE FROM "idempotency_keys" WHERE "job_id" = ANY (ARRAY(SELECT "id" FROM "gone"));
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER "jobs_delete_keys" AFTER DELETE ON "jobs" REFERENCING OLD TABLE AS "gone"
  FOR EACH STATEMENT EXECUTE FUNCTION "delete_idempotency_keys"();
CREATE TRIGGER "jobs_truncate_keys" AFTER TRUNCATE ON "jobs" FOR EACH STATEMENT EXECUTE FUNCTION "delete_idempotency_keys"();
