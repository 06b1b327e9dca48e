-- What jobs of the queue have that leave it out: {"priority"?, "maxAttempts"?, "timeoutMs"?, "retry"?}.
ALTER TABLE "queues" ADD COLUMN "defaults" JSON;
