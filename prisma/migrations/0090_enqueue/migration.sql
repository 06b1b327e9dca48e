-- What people and applications do with SQL: read a job whole, and create one in a transaction of their own.

-- What the coordinators were started with, as far as `enqueue` needs it. One row, which each writes at its start.
CREATE TABLE "coordinator_settings" (
  "id" INTEGER NOT NULL,
  "max_payload_bytes" INTEGER NOT NULL,
  "defaults" JSON NOT NULL,
  CONSTRAINT "coordinator_settings_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "coordinator_settings_is_one" CHECK ("id" = 1)
);

-- reading ------------------------------------------------------------------------------------------------------------

-- Makes the view `job_details` anew, with every column of jobs but those that are nobody's to read. To be called by each
-- migration that adds a column to jobs; one that removes a column drops the view first.
CREATE FUNCTION "rebuild_job_details"() RETURNS VOID LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  others TEXT;
BEGIN
  SELECT string_agg(format('j.%I', a.attname), ', ' ORDER BY a.attnum) INTO others
  FROM pg_attribute a
  WHERE a.attrelid = 'jobs'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN (
    'id', 'type', 'queue', 'status', 'lane_id',
    -- Who has the token may speak for the runner; a callback names the user whose secret signs it.
    'lease_token', 'claim_hash', 'callback');
  EXECUTE format($view$
    CREATE OR REPLACE VIEW job_details AS
    SELECT j.id, j.type, j.queue, j.status,
      CASE
        WHEN j.status = 'blocked' THEN 'other jobs'
        WHEN j.status <> 'pending' THEN NULL
        WHEN j.hold = 'key' THEN 'its concurrency key'
        WHEN j.hold = 'order' THEN 'an earlier job of its order key'
        WHEN j.run_at > now() THEN 'its time'
        WHEN q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now()) THEN 'its queue, which is paused'
        ELSE 'a runner'
      END AS waits_for,
      CASE WHEN j.status = 'pending' AND j.run_at > now() THEN j.run_at - now() END AS due_in,
      CASE WHEN j.status = 'pending' AND j.run_at <= now() THEN now() - j.run_at END AS due_for,
      CASE WHEN j.started_at IS NOT NULL THEN
        CASE WHEN j.status = 'running' THEN now() ELSE j.finished_at END - j.started_at END AS latest_attempt_took,
      CASE WHEN j.status = 'running' THEN j.lease_expires_at - now() END AS lease_left,
      l.key AS lane,
      (SELECT json_agg(json_build_object(
          'attempt', a.attempt, 'runner', a.runner_id, 'started_at', a.started_at, 'finished_at', a.finished_at,
          'outcome', a.outcome, 'error', a.error, 'late_result', a.late_result) ORDER BY a.attempt)
        FROM attempts a WHERE a.job_id = j.id) AS kept_attempts,
      (SELECT t.lines FROM job_log_totals t WHERE t.job_id = j.id) AS log_lines,
      %s
    FROM jobs j LEFT JOIN lanes l ON l.id = j.lane_id LEFT JOIN queues q ON q.name = j.queue
  $view$, others);
END
$$;
SELECT "rebuild_job_details"();

-- creating -----------------------------------------------------------------------------------------------------------

-- Every refusal is an exception with SQLSTATE BATON: the code of docs/errors.md before the colon of the message, and the
-- same as JSON in the detail.
CREATE FUNCTION "enqueue_refuse"("code" TEXT, "detail" TEXT, "path" TEXT, "message" TEXT, "retry_after_ms" BIGINT)
RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'BATON', MESSAGE = code || ': ' || detail,
    DETAIL = json_strip_nulls(json_build_object('code', code, 'detail', detail, 'retryAfterMs', retry_after_ms,
      'errors', CASE WHEN path IS NOT NULL THEN json_build_array(json_build_object('path', path, 'message', message)) END))::text;
END
$$;

CREATE FUNCTION "enqueue_invalid"("path" TEXT, "message" TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
  PERFORM enqueue_refuse('validation_failed', path || ' ' || message || '.', path, message, NULL);
END
$$;

CREATE FUNCTION "enqueue_text"("path" TEXT, "sent" JSONB, "most" INTEGER) RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
  IF sent IS NULL THEN RETURN NULL; END IF;
  IF jsonb_typeof(sent) <> 'string' THEN PERFORM enqueue_invalid(path, 'must be text'); END IF;
  IF length(sent #>> '{}') NOT BETWEEN 1 AND most THEN
    PERFORM enqueue_invalid(path, format('must be 1 to %s characters', most));
  END IF;
  RETURN sent #>> '{}';
END
$$;

CREATE FUNCTION "enqueue_name"("path" TEXT, "value" TEXT) RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
  IF value IS NULL OR length(value) > 200 OR value COLLATE "C" !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$' THEN
    PERFORM enqueue_invalid(path, 'must be 1 to 200 characters, start with a letter, a digit or _ and contain only letters, digits and _ . : / -');
  END IF;
  RETURN value;
END
$$;

CREATE FUNCTION "enqueue_number"("path" TEXT, "sent" JSONB, "least" NUMERIC, "most" NUMERIC, "is_whole" BOOLEAN)
RETURNS NUMERIC LANGUAGE plpgsql AS $$
BEGIN
  IF sent IS NULL THEN RETURN NULL; END IF;
  IF jsonb_typeof(sent) <> 'number' OR sent::numeric NOT BETWEEN least AND most OR (is_whole AND sent::numeric % 1 <> 0) THEN
    PERFORM enqueue_invalid(path, format('must be a %s from %s to %s', CASE WHEN is_whole THEN 'whole number' ELSE 'number' END, least, most));
  END IF;
  RETURN sent::numeric;
END
$$;

CREATE FUNCTION "enqueue_time"("path" TEXT, "sent" JSONB) RETURNS TIMESTAMPTZ LANGUAGE plpgsql AS $$
DECLARE
  said TEXT := sent #>> '{}';
  at TIMESTAMPTZ;
BEGIN
  IF sent IS NULL THEN RETURN NULL; END IF;
  IF jsonb_typeof(sent) <> 'string' OR said COLLATE "C" !~
    '^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-](0[0-9]|1[0-5]):[0-5][0-9])$' THEN
    PERFORM enqueue_invalid(path, 'must be an ISO-8601 time such as 2026-01-31T12:00:00Z');
  END IF;
  BEGIN
    -- What is stored of a fraction; more digits would be rounded.
    at := regexp_replace(said, '([.][0-9]{6})[0-9]+', chr(92) || '1');
  EXCEPTION WHEN data_exception THEN
    at := NULL;
  END;
  IF at IS NULL OR at NOT BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999Z' THEN
    PERFORM enqueue_invalid(path, 'must be a time of the years 1 to 9999 in UTC');
  END IF;
  RETURN at;
END
$$;

-- JSON that may be stored, by the rules of the payload gate: docs/protocol.md. Returns it as it was sent.
CREATE FUNCTION "enqueue_payload"("path" TEXT, "sent" JSON, "most_bytes" INTEGER) RETURNS JSON LANGUAGE plpgsql AS $$
DECLARE
  said TEXT := sent;
  parsed JSONB;
  fault TEXT;
BEGIN
  IF sent IS NULL THEN RETURN NULL; END IF;
  IF octet_length(said) > most_bytes THEN
    fault := format('takes %s bytes as JSON; at most %s are allowed', octet_length(said), most_bytes);
    PERFORM enqueue_refuse('payload_too_large', path || ' ' || fault || '. Store the data elsewhere and send a reference to it.', path, fault, NULL);
  END IF;
  BEGIN
    parsed := sent;
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    PERFORM enqueue_invalid(path, 'must not contain NUL, lone surrogates or numbers that nothing can hold');
  END;
  -- Most cannot have any of the faults below, which is told sooner than it is looked for: no escapes, no long numbers.
  IF length(said) < 10000 AND said !~ '__proto__|constructor|[0-9.]{16}|[0-9][eE]' AND strpos(said, chr(92)) = 0
    AND length(said) - length(translate(said, '[{', '')) <= 64 THEN RETURN sent; END IF;
  WITH RECURSIVE node (value, name, depth) AS (
    SELECT parsed, NULL::text, 1
    UNION ALL
    SELECT child.value, child.name, n.depth + 1 FROM node n CROSS JOIN LATERAL (
      SELECT e.value, NULL::text AS name FROM jsonb_array_elements(CASE jsonb_typeof(n.value) WHEN 'array' THEN n.value ELSE '[]' END) e (value)
      UNION ALL
      SELECT m.value, m.key FROM jsonb_each(CASE jsonb_typeof(n.value) WHEN 'object' THEN n.value ELSE '{}' END) m (key, value)
    ) child WHERE n.depth < 65
  ), seen AS MATERIALIZED (SELECT * FROM node LIMIT 10001)
  SELECT CASE
      WHEN count(*) > 10000 THEN 'holds more than 10000 values'
      WHEN max(s.depth) > 64 THEN 'is nested deeper than 64 levels'
      WHEN bool_or(s.name = '__proto__') THEN 'must not have a key named __proto__'
      WHEN bool_or(s.name = 'constructor') THEN 'must not have a key named constructor'
      WHEN bool_or(abs(s.number) > 1e21) THEN 'must hold numbers between -1e+21 and 1e+21; send larger ones as text'
      -- As the double is, or as its shortest text.
      WHEN bool_or(CASE WHEN abs(s.number) BETWEEN 9007199254740992 AND 1e21 AND s.number % 1 = 0
          THEN s.number::float8::text::numeric <> s.number
            AND CASE WHEN abs(s.number) < 9.2e18 THEN s.number::float8::bigint <> s.number ELSE true END END)
        THEN 'must not hold a whole number that double precision changes; send it as text'
    END INTO fault
  FROM (SELECT *, CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END AS number FROM seen) s;
  IF fault IS NOT NULL THEN PERFORM enqueue_invalid(path, fault); END IF;
  RETURN sent;
END
$$;

CREATE FUNCTION "enqueue_labels"("path" TEXT, "sent" JSONB) RETURNS JSONB LANGUAGE plpgsql AS $$
DECLARE
  label RECORD;
  labels INTEGER := 0;
BEGIN
  IF sent IS NULL THEN RETURN NULL; END IF;
  IF jsonb_typeof(sent) <> 'object' THEN PERFORM enqueue_invalid(path, 'must be an object of labels'); END IF;
  FOR label IN SELECT m.key, m.value FROM jsonb_each(sent) m LOOP
    labels := labels + 1;
    IF labels > 50 THEN PERFORM enqueue_invalid(path, 'must be at most 50 labels'); END IF;
    IF label.key = '__proto__' THEN PERFORM enqueue_invalid(path, 'must not have a label named __proto__'); END IF;
    PERFORM enqueue_name(path || '.' || label.key, label.key);
    CASE jsonb_typeof(label.value)
      WHEN 'string' THEN PERFORM enqueue_text(path || '.' || label.key, label.value, 200);
      WHEN 'number' THEN PERFORM enqueue_number(path || '.' || label.key, label.value, -1e308, 1e308, false);
      WHEN 'boolean' THEN NULL;
      ELSE PERFORM enqueue_invalid(path || '.' || label.key, 'must be text, a number or a boolean');
    END CASE;
  END LOOP;
  RETURN sent;
END
$$;

CREATE FUNCTION "enqueue_retry"("sent" JSONB) RETURNS JSON LANGUAGE plpgsql AS $$
DECLARE
  strategy TEXT := sent ->> 'strategy';
  unknown TEXT;
BEGIN
  IF sent IS NULL THEN RETURN NULL; END IF;
  IF jsonb_typeof(sent) <> 'object' OR strategy IS NULL OR strategy NOT IN ('exponential', 'linear', 'fixed') THEN
    PERFORM enqueue_invalid('retry', 'must be an object whose strategy is exponential, linear or fixed');
  END IF;
  SELECT m.key INTO unknown FROM jsonb_object_keys(sent) m (key)
  WHERE m.key NOT IN ('strategy', 'baseMs', 'maxMs', 'jitter') AND NOT (m.key = 'factor' AND strategy = 'exponential') LIMIT 1;
  IF unknown IS NOT NULL THEN PERFORM enqueue_invalid('retry.' || unknown, format('is unknown where the strategy is %s', strategy)); END IF;
  RETURN json_strip_nulls(json_build_object(
    'strategy', strategy,
    'baseMs', COALESCE(enqueue_number('retry.baseMs', sent -> 'baseMs', 0, 2592000000, true), 4000)::bigint,
    'factor', CASE strategy WHEN 'exponential' THEN COALESCE(enqueue_number('retry.factor', sent -> 'factor', 1, 100, false), 2)::float8 END,
    'maxMs', COALESCE(enqueue_number('retry.maxMs', sent -> 'maxMs', 0, 2592000000, true), 3600000)::bigint,
    'jitter', COALESCE(enqueue_number('retry.jitter', sent -> 'jitter', 0, 1, false), 1)::float8));
END
$$;

CREATE FUNCTION "enqueue_tags"("sent" JSONB) RETURNS TEXT[] LANGUAGE plpgsql AS $$
DECLARE
  tags TEXT[] := '{}';
  tag JSONB;
BEGIN
  IF sent IS NULL THEN RETURN tags; END IF;
  IF jsonb_typeof(sent) <> 'array' OR jsonb_array_length(sent) > 50 THEN PERFORM enqueue_invalid('tags', 'must be a list of at most 50 tags'); END IF;
  FOR tag IN SELECT e.value FROM jsonb_array_elements(sent) e (value) LOOP
    tags := tags || enqueue_text('tags.' || cardinality(tags), tag, 100);
  END LOOP;
  RETURN tags;
END
$$;

CREATE FUNCTION "enqueue_trace"("options" JSONB) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
  parent TEXT := enqueue_text('traceparent', options -> 'traceparent', 55);
  state TEXT := options ->> 'tracestate';
BEGIN
  IF parent COLLATE "C" !~ '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$' THEN
    PERFORM enqueue_invalid('traceparent', 'must be a W3C traceparent of version 00, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  END IF;
  IF state COLLATE "C" !~ '^[ -~]*$' OR octet_length(state) > 512 OR jsonb_typeof(options -> 'tracestate') <> 'string' THEN
    PERFORM enqueue_invalid('tracestate', 'must be at most 512 visible ASCII characters');
  END IF;
  RETURN parent || COALESCE(' ' || NULLIF(state, ''), '');
END
$$;

-- The lane of such jobs, if there is one; 0: a coordinator gives the job its lane before its turn. A lane that was made
-- here would be locked until the caller's transaction ends, and creates of others would wait for it.
CREATE FUNCTION "enqueue_lane"("queue" TEXT, "type" TEXT, "priority" INTEGER, "requires" JSONB, "prefers" JSONB)
RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
  most CONSTANT INTEGER := 10000;
  lane_key TEXT := format('[%s,%s,%s,%s%s]', to_json(queue), to_json(type), priority, COALESCE(enqueue_lane_labels(requires), 'null'),
    COALESCE(',' || enqueue_lane_labels(prefers), ''));
  lane INTEGER;
BEGIN
  IF octet_length(lane_key) > 2000 THEN
    lane_key := translate(encode(sha256(convert_to(lane_key, 'UTF8')), 'base64'), '+/=', '-_');
  END IF;
  SELECT l.id INTO lane FROM lanes l WHERE l.key = lane_key;
  IF lane IS NULL AND (SELECT count(*) FROM (SELECT FROM lanes l WHERE l.made_by = 'sql' LIMIT most) made) >= most THEN
    PERFORM enqueue_refuse('rate_limited', format(
      'The jobs that were created by SQL differ in queue, type, priority, requires or prefers in more than %s ways. Use fewer of them; what tells one job from another belongs into its arguments or tags.',
      most), NULL, NULL, 3600000);
  END IF;
  RETURN COALESCE(lane, 0);
END
$$;

CREATE FUNCTION "enqueue_lane_labels"("labels" JSONB) RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
  IF labels IS NULL THEN RETURN NULL; END IF;
  RETURN '[' || COALESCE((
    SELECT string_agg(format('[%s,%s]', to_json(m.key),
      CASE jsonb_typeof(m.value) WHEN 'number' THEN m.value::numeric::float8::text ELSE m.value::text END), ',' ORDER BY m.key COLLATE "C")
    FROM jsonb_each(labels) m), '') || ']';
END
$$;

-- Refuses the job when as many wait in its queue as may. What other transactions create meanwhile is not seen.
CREATE FUNCTION "enqueue_require_room"("of_queue" TEXT, "most" INTEGER) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
  IF most IS NULL THEN RETURN; END IF;
  IF (SELECT count(*) FROM (
      (SELECT FROM lanes l CROSS JOIN LATERAL (
        SELECT FROM jobs j WHERE j.status = 'pending' AND j.position IS NOT NULL AND j.lane_id = l.id LIMIT most
      ) ready WHERE l.queue = of_queue LIMIT most)
      UNION ALL
      (SELECT FROM jobs j WHERE j.status = 'pending' AND j.position IS NULL AND j.hold IS NULL AND j.queue = of_queue LIMIT most)
      UNION ALL
      (SELECT FROM jobs j WHERE j.hold = 'key' AND j.queue = of_queue LIMIT most)
      UNION ALL
      (SELECT FROM jobs j WHERE j.hold = 'order' AND j.queue = of_queue LIMIT most)
      LIMIT most
    ) waiting) < most THEN RETURN; END IF;
  PERFORM enqueue_refuse('queue_full', format('The queue %s is full: %s jobs wait in it, as many as it takes. Create the job later.', of_queue, most), NULL, NULL, 1000);
END
$$;

-- Refuses the job when its user created as many in the queue as it allows.
CREATE FUNCTION "enqueue_require_rate"("of_queue" TEXT, "of_user" TEXT, "most" INTEGER, "per_ms" BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
  recent TIMESTAMPTZ[];
BEGIN
  IF of_user IS NULL OR most IS NULL THEN RETURN; END IF;
  recent := ARRAY(
    SELECT j.created_at FROM jobs j
    WHERE j.queue = of_queue AND j.user_id = of_user AND j.user_id IS NOT NULL
      AND j.created_at > clock_timestamp() - per_ms * interval '1 ms' AND j.created_at < clock_timestamp() + interval '1 minute'
    ORDER BY j.created_at DESC LIMIT most);
  IF cardinality(recent) < most THEN RETURN; END IF;
  PERFORM enqueue_refuse('rate_limited',
    format('The user %s has created all the %s jobs that queue %s allows in its time.', of_user, most, of_queue), NULL, NULL,
    GREATEST(1, ceil(extract(epoch FROM recent[most] - clock_timestamp()) * 1000 + per_ms))::bigint);
END
$$;

-- A time-ordered UUID, version 7.
CREATE FUNCTION "enqueue_id"() RETURNS UUID LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Wakes the coordinators once the caller's transaction commits; equal messages of one transaction are sent once.
CREATE FUNCTION "enqueue_notify"("message" JSONB) RETURNS VOID LANGUAGE sql VOLATILE AS $$
  SELECT pg_notify(CASE WHEN octet_length(current_schema()) <= 57 THEN 'baton:' || current_schema()
    ELSE 'baton:' || left(encode(sha256(convert_to(current_schema(), 'UTF8')), 'hex'), 40) END,
    (jsonb_build_object('from', 'enqueue') || message)::text)
$$;

-- Creates a job in the caller's transaction: it is there when that commits, and never was when that is rolled back.
--
-- options: an object with any of queue, priority, runAt or delayMs, timeoutMs, maxAttempts, retry, uniqueKey, uniqueForMs,
-- onConflict, concurrencyKey, orderKey, orderOnFailure, expiresAt, requires, prefers, tags, metadata and userId, as
-- POST /jobs takes them, and of idempotencyKey, traceparent and tracestate.
-- outcome: created; repeated, when the idempotency key was used for the same job; deduplicated, when the unique key is held.
--
-- The job has no position yet, and is held if it has an order key: its turn is a coordinator's to give. So nothing here
-- locks what creates of others wait for, but a unique key.
CREATE FUNCTION "enqueue"("type" TEXT, "arguments" JSON DEFAULT '{}', "options" JSON DEFAULT '{}', OUT "id" UUID, OUT "status" TEXT, OUT "outcome" TEXT)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT 
  SET "plan_cache_mode" = 'force_generic_plan' SET "enable_seqscan" = 'off' SET "extra_float_digits" = '1' AS $$
#variable_conflict use_column
DECLARE
  known CONSTANT TEXT[] := ARRAY['queue', 'priority', 'runAt', 'delayMs', 'timeoutMs', 'maxAttempts', 'retry', 'uniqueKey', 'uniqueForMs',
    'onConflict', 'concurrencyKey', 'orderKey', 'orderOnFailure', 'expiresAt', 'requires', 'prefers', 'tags', 'metadata', 'userId',
    'idempotencyKey', 'traceparent', 'tracestate'];
  of_type TEXT := enqueue_name('type', $1);
  of_queue TEXT;
  of_user TEXT;
  settings RECORD;
  limits RECORD;
  given JSONB;
  unknown TEXT;
  payload JSON;
  meta JSON;
  at TIMESTAMPTZ := clock_timestamp();
  due_at TIMESTAMPTZ;
  expiry TIMESTAMPTZ;
  delay_ms NUMERIC;
  of_priority INTEGER;
  needs JSONB;
  likes JSONB;
  unique_name TEXT;
  unique_ms NUMERIC;
  order_name TEXT;
  key_name TEXT;
  request TEXT;
  used RECORD;
  row_of jobs%ROWTYPE;
BEGIN
  BEGIN
    given := COALESCE($3, '{}');
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    PERFORM enqueue_invalid('options', 'must not contain NUL, lone surrogates or numbers that nothing can hold');
  END;
  IF jsonb_typeof(given) <> 'object' THEN PERFORM enqueue_invalid('options', 'must be a JSON object'); END IF;
  SELECT m.key INTO unknown FROM jsonb_object_keys(given) m (key) WHERE m.key <> ALL (known) ORDER BY 1 LIMIT 1;
  IF unknown IN ('callbackUrl', 'dependsOn', 'onDependencyFailure') THEN
    PERFORM enqueue_invalid(unknown, 'is not taken by enqueue; create such a job with POST /jobs');
  ELSIF unknown IS NOT NULL THEN
    PERFORM enqueue_invalid(unknown, 'is unknown; allowed are ' || array_to_string(known, ', '));
  END IF;

  of_queue := enqueue_name('queue', COALESCE(enqueue_text('queue', given -> 'queue', 200), 'default'));
  SELECT s.max_payload_bytes, s.defaults::jsonb AS defaults INTO settings FROM coordinator_settings s WHERE s.id = 1;
  SELECT q.max_waiting, q.user_rate_max, q.user_rate_per_ms, q.defaults::jsonb AS defaults INTO limits FROM queues q WHERE q.name = of_queue;

  payload := enqueue_payload('arguments', COALESCE($2, '{}'), COALESCE(settings.max_payload_bytes, 262144));
  IF json_typeof(payload) = 'null' THEN PERFORM enqueue_invalid('arguments', 'must not be null; leave it out, which means {}'); END IF;
  meta := enqueue_payload('metadata', $3 -> 'metadata', COALESCE(settings.max_payload_bytes, 262144));
  IF json_typeof(meta) <> 'object' THEN PERFORM enqueue_invalid('metadata', 'must be a JSON object'); END IF;

  of_priority := CASE
    WHEN given -> 'priority' IN ('"high"', '"normal"', '"low"') THEN CASE given ->> 'priority' WHEN 'high' THEN 10 WHEN 'normal' THEN 0 ELSE -10 END
    ELSE COALESCE(enqueue_number('priority', given -> 'priority', -100, 100, true),
      (limits.defaults -> 'priority')::numeric, (settings.defaults -> 'priority')::numeric, 0) END;
  due_at := enqueue_time('runAt', given -> 'runAt');
  delay_ms := enqueue_number('delayMs', given -> 'delayMs', 0, 315360000000, true);
  IF due_at IS NOT NULL AND delay_ms IS NOT NULL THEN PERFORM enqueue_invalid('delayMs', 'cannot stand beside runAt; send one of the two'); END IF;
  due_at := GREATEST(at, due_at, at + delay_ms::float8 * interval '1 ms');
  expiry := enqueue_time('expiresAt', given -> 'expiresAt');
  needs := enqueue_labels('requires', given -> 'requires');
  likes := enqueue_labels('prefers', given -> 'prefers');
  of_user := enqueue_text('userId', given -> 'userId', 200);
  unique_name := enqueue_text('uniqueKey', given -> 'uniqueKey', 500);
  unique_ms := enqueue_number('uniqueForMs', given -> 'uniqueForMs', 1, 315360000000, true);
  order_name := enqueue_text('orderKey', given -> 'orderKey', 200);
  IF COALESCE(given -> 'onConflict' NOT IN ('"keep"', '"replace"'), false) THEN PERFORM enqueue_invalid('onConflict', 'must be keep or replace'); END IF;
  IF COALESCE(given -> 'orderOnFailure' NOT IN ('"block"', '"skip"'), false) THEN PERFORM enqueue_invalid('orderOnFailure', 'must be block or skip'); END IF;
  IF unique_name IS NULL AND unique_ms IS NOT NULL THEN PERFORM enqueue_invalid('uniqueForMs', 'needs a uniqueKey'); END IF;
  IF unique_name IS NULL AND given ->> 'onConflict' = 'replace' THEN PERFORM enqueue_invalid('onConflict', 'needs a uniqueKey'); END IF;

  row_of.id := enqueue_id();
  row_of.type := of_type;
  row_of.queue := of_queue;
  row_of.priority := of_priority;
  row_of.hold := CASE WHEN order_name IS NOT NULL THEN 'order' END;
  row_of.arguments := payload;
  row_of.metadata := meta;
  row_of.requires := needs;
  row_of.prefers := likes;
  row_of.tags := enqueue_tags(given -> 'tags');
  row_of.user_id := of_user;
  row_of.concurrency_key := enqueue_text('concurrencyKey', given -> 'concurrencyKey', 200);
  row_of.order_key := order_name;
  row_of.order_blocks := order_name IS NOT NULL AND given ->> 'orderOnFailure' IS DISTINCT FROM 'skip';
  row_of.unique_key := unique_name;
  row_of.unique_until := at + unique_ms::float8 * interval '1 ms';
  row_of.expires_at := expiry;
  row_of.max_attempts := COALESCE(enqueue_number('maxAttempts', given -> 'maxAttempts', 1, 1000, true),
    (limits.defaults -> 'maxAttempts')::numeric, (settings.defaults -> 'maxAttempts')::numeric, 11);
  row_of.timeout_ms := COALESCE(enqueue_number('timeoutMs', given -> 'timeoutMs', 1, 604800000, true),
    (limits.defaults -> 'timeoutMs')::numeric, (settings.defaults -> 'timeoutMs')::numeric, 300000);
  row_of.retry := COALESCE(enqueue_retry(given -> 'retry'), (limits.defaults -> 'retry')::json, (settings.defaults -> 'retry')::json);
  row_of.trace := enqueue_trace(given);
  row_of.created_at := at;
  row_of.updated_at := at;

  key_name := given ->> 'idempotencyKey';
  IF given ? 'idempotencyKey' AND (jsonb_typeof(given -> 'idempotencyKey') <> 'string' OR key_name COLLATE "C" !~ '^[!-~]{1,255}$') THEN
    PERFORM enqueue_invalid('idempotencyKey', 'must be 1 to 255 visible ASCII characters');
  END IF;
  IF key_name IS NOT NULL THEN
    request := encode(sha256(convert_to(jsonb_build_object('type', of_type, 'arguments', payload::jsonb,
      'options', given - ARRAY['idempotencyKey', 'traceparent', 'tracestate'])::text, 'UTF8')), 'hex');
    -- A name that no key of an HTTP call has, so that such a call never waits for the caller's transaction.
    INSERT INTO idempotency_keys (scope, key, request_hash, job_id) VALUES ('', 'sql ' || key_name, request, row_of.id) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      SELECT k.request_hash, j.id AS job_id, j.status AS job_status INTO used
      FROM idempotency_keys k JOIN jobs j ON j.id = k.job_id WHERE k.scope = '' AND k.key = 'sql ' || key_name;
      IF used.job_id IS NULL THEN
        PERFORM enqueue_refuse('unavailable', 'The job of this idempotency key was deleted at this moment.', NULL, NULL, 1000);
      END IF;
      IF used.request_hash <> request THEN
        PERFORM enqueue_refuse('idempotency_conflict',
          format('The idempotency key %s was used for another request. Use a new key, or repeat the first request unchanged.', key_name), NULL, NULL, NULL);
      END IF;
      $4 := used.job_id;
      $5 := used.job_status;
      $6 := 'repeated';
      RETURN;
    END IF;
  END IF;

  FOR attempt IN 1..3 LOOP
    IF unique_name IS NOT NULL THEN
      SELECT h.id AS job_id, h.status AS job_status INTO used FROM (
        SELECT j.id, j.status FROM jobs j
        WHERE j.type = of_type AND j.unique_key = unique_name AND j.unique_key IS NOT NULL AND COALESCE(j.user_id, '') = COALESCE(of_user, '')
          AND j.status IN ('blocked', 'pending', 'running')
        UNION ALL
        SELECT j.id, j.status FROM jobs j
        WHERE j.type = of_type AND j.unique_key = unique_name AND COALESCE(j.user_id, '') = COALESCE(of_user, '')
          AND j.unique_until IS NOT NULL AND j.unique_until > clock_timestamp() AND j.status::text = 'completed'
      ) h ORDER BY h.id DESC LIMIT 1;
      IF FOUND THEN
        IF given ->> 'onConflict' = 'replace' THEN
          UPDATE jobs j SET arguments = payload, metadata = COALESCE(meta, j.metadata), run_at = due_at, position = NULL,
            hold = NULLIF(j.hold, 'key'), updated_at = at
          WHERE j.id = used.job_id AND j.status IN ('blocked', 'pending');
          IF FOUND THEN PERFORM enqueue_notify('{"due": 0}'); END IF;
        END IF;
        IF key_name IS NOT NULL THEN
          UPDATE idempotency_keys k SET job_id = used.job_id WHERE k.scope = '' AND k.key = 'sql ' || key_name;
        END IF;
        $4 := used.job_id;
        $5 := used.job_status;
        $6 := 'deduplicated';
        RETURN;
      END IF;
    END IF;
    IF attempt = 1 THEN
      row_of.lane_id := enqueue_lane(of_queue, of_type, of_priority, needs, likes);
      PERFORM enqueue_require_room(of_queue, limits.max_waiting);
      PERFORM enqueue_require_rate(of_queue, of_user, limits.user_rate_max, limits.user_rate_per_ms);
    END IF;
    INSERT INTO jobs (id, type, queue, priority, status, lane_id, run_at, hold, arguments, metadata, requires, prefers, tags, user_id, concurrency_key,
      order_key, order_seq, order_blocks, unique_key, unique_until, expires_at, max_attempts, retry, timeout_ms, trace, created_at, updated_at)
    VALUES (row_of.id, of_type, of_queue, of_priority, 'pending', row_of.lane_id, due_at, row_of.hold, payload, meta, row_of.requires, row_of.prefers,
      row_of.tags, of_user, row_of.concurrency_key, order_name, CASE WHEN order_name IS NOT NULL THEN nextval('jobs_order_seq') END, row_of.order_blocks,
      unique_name, row_of.unique_until, expiry, row_of.max_attempts, row_of.retry, row_of.timeout_ms, row_of.trace, at, at)
    -- Another transaction that has the key was waited for, and its job is looked for again.
    ON CONFLICT (type, unique_key, (COALESCE(user_id, ''))) WHERE unique_key IS NOT NULL AND status IN ('blocked', 'pending', 'running') DO NOTHING;
    EXIT WHEN FOUND;
    IF attempt = 3 THEN
      PERFORM enqueue_refuse('unavailable', 'Another job took the unique key, and gave it back, again and again.', NULL, NULL, 1000);
    END IF;
  END LOOP;

  INSERT INTO events (at, name, job_id, type, queue, user_id, status, attempt)
  SELECT clock_timestamp(), 'job.created', row_of.id, of_type, of_queue, of_user, 'pending', 0
  WHERE EXISTS (SELECT FROM event_watches w WHERE w.until_at > now() AND w.scope = ANY (
    ARRAY['all', 'job:' || row_of.id, 'queue:' || of_queue, 'type:' || of_type, 'user:' || of_user,
      'all job.created', 'queue:' || of_queue || ' job.created', 'type:' || of_type || ' job.created', 'user:' || of_user || ' job.created']));

  IF order_name IS NOT NULL THEN
    PERFORM enqueue_notify(jsonb_build_object('orders', jsonb_build_array(jsonb_build_object('queue', of_queue, 'key', order_name))));
  ELSIF due_at < at + interval '1 s' THEN
    PERFORM enqueue_notify(jsonb_build_object('due', ceil(extract(epoch FROM due_at - at) * 1000)));
  END IF;
  $4 := row_of.id;
  $5 := 'pending';
  $6 := 'created';
END
$$;

-- Only for those whom its owner grants it to: docs/database-roles.md.
DO $$
DECLARE
  signature TEXT;
BEGIN
  FOR signature IN
    SELECT p.oid::regprocedure::text FROM pg_proc p
    WHERE p.pronamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = current_schema()) AND (p.proname LIKE 'enqueue%' OR p.proname = 'rebuild_job_details')
  LOOP
    EXECUTE 'REVOKE ALL ON FUNCTION ' || signature || ' FROM PUBLIC';
  END LOOP;
END
$$;
