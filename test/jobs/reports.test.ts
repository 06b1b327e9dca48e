import { randomUUID } from 'node:crypto';
import type { ClaimedJob, CreateJob, HeartbeatsReply } from '@baton/runner-sdk/protocol';
import { startCluster, type TestCoordinator } from '../support/coordinator';
import { jobIn, uniqueType } from '../support/factory';
import type { TestSql } from '../support/sql';

// What a runner says of a job in its hand: heartbeat, complete, release. And what the monitor says when it says
// nothing.

let coordinator: TestCoordinator & { sql: TestSql };
let cluster: Awaited<ReturnType<typeof startCluster>>;
beforeAll(async () => {
  cluster = await startCluster(1);
  const [one] = cluster.coordinators;
  if (one === undefined) throw new Error('no coordinator');
  coordinator = { ...one, sql: cluster.sql };
});
afterAll(() => cluster.stop());

async function held(more: Partial<CreateJob> = {}): Promise<ClaimedJob> {
  const { claimed } = await jobIn('running', coordinator, {
    retry: { strategy: 'fixed', baseMs: 0, jitter: 0 },
    ...more,
  });
  if (claimed === undefined) throw new Error('not claimed');
  return claimed;
}
const say = (verb: string, { id, leaseToken }: ClaimedJob, more: object = {}) =>
  coordinator.api.post<Record<string, unknown>>(`/jobs/${id}/${verb}`, { leaseToken, ...more });
const failed = (more: object = {}) => ({ outcome: 'failed', error: { message: 'boom', ...more } });

describe('heartbeat', () => {
  test('extends the lease and keeps progress, cleaned', async () => {
    const job = await held();
    await coordinator.sql.query("UPDATE jobs SET lease_expires_at = now() + interval '1 s' WHERE id = $1", [job.id]);
    const { body } = await say('heartbeat', job, { progress: { percent: 150, message: 'a\u0000b' } });
    const read = await coordinator.api.job(job.id);
    expect(body['leaseExpiresAt']).toBe(read.leaseExpiresAt);
    expect(Date.parse(read.leaseExpiresAt ?? '') - Date.parse(read.updatedAt)).toBe(30_000);
    expect(read.progress).toMatchObject({ percent: 100, message: 'a\ufffdb' });
  });

  test('never extends past the deadline', async () => {
    const job = await held({ timeoutMs: 60_000 });
    await coordinator.sql.query("UPDATE jobs SET deadline_at = now() + interval '2 s' WHERE id = $1", [job.id]);
    await say('heartbeat', job);
    const { leaseExpiresAt, deadlineAt } = await coordinator.api.job(job.id);
    expect(leaseExpiresAt).toBe(deadlineAt);
  });

  test('hands a checkpoint to the next attempt', async () => {
    const job = await held();
    await say('heartbeat', job, { checkpoint: { at: 100 } });
    await say('heartbeat', job, { progress: { percent: 1 } });
    await coordinator.api.complete(job, failed());
    expect((await coordinator.api.claimOne({ runnerId: 'r2', types: [job.type] })).checkpoint).toEqual({ at: 100 });
  });

  test('of the same lease many times at once loses nothing that was said', async () => {
    const job = await held();
    const signs = [
      { checkpoint: 1 },
      { progress: { percent: 7 } },
      { logs: [{ level: 'info', message: 'one' }] },
      {},
      { logs: [{ level: 'info', message: 'two' }] },
    ];
    // The first travels alone; what follows while it is under way travels together.
    const statuses = await Promise.all([{}, ...signs].map(async (sign) => (await say('heartbeat', job, sign)).status));
    expect(statuses).toEqual([200, 200, 200, 200, 200, 200]);
    expect(await coordinator.api.job(job.id)).toMatchObject({ checkpoint: 1, progress: { percent: 7 } });
    expect(await coordinator.sql.count('job_logs WHERE job_id = $1', [job.id])).toBe(2);
  });

  test.each([
    ['heartbeat', {}],
    ['release', {}],
    ['complete', { outcome: 'failed' }],
  ])('a %s under the token of an attempt that is over does nothing to the one that runs', async (verb, more) => {
    const job = await held();
    await coordinator.sql.expireLease(job.id);
    await coordinator.runMonitor();
    await coordinator.api.claimOne({ runnerId: 'next', types: [job.type] });
    const before = await coordinator.api.stored(job.id);
    expect(await say(verb, job, more)).toMatchObject({ status: 409, body: { code: 'lease_lost' } });
    expect(await coordinator.api.stored(job.id)).toEqual(before);
  });

  test('in bulk: each is judged alone, the good ones live', async () => {
    const [good, bad, done, gone] = [await held(), await held(), await held(), await held()];
    await coordinator.api.complete(done);
    await coordinator.api.post(`/jobs/${gone.id}/cancel`);
    const beat = ({ id: jobId, leaseToken }: ClaimedJob, more: object = {}) => ({ jobId, leaseToken, ...more });
    const { body, status } = await coordinator.api.post<HeartbeatsReply>('/jobs/heartbeat', {
      runnerId: 'bulk',
      jobs: [
        beat(good),
        beat(bad, { checkpoint: 'a\u0000' }),
        beat({ ...good, leaseToken: randomUUID() }),
        beat(done),
        beat(gone),
        beat(gone, { leaseToken: randomUUID() }),
        { jobId: randomUUID(), leaseToken: randomUUID() },
        null,
        beat(bad, { checkpoint: 'x'.repeat(262_144) }),
      ],
    });
    expect(status).toBe(200);
    expect(body.jobs.map((one) => ('code' in one ? one.code : 'ok'))).toEqual([
      'ok',
      'validation_failed',
      'lease_lost',
      'lease_lost',
      'job_cancelled',
      'lease_lost',
      'not_found',
      'validation_failed',
      'payload_too_large',
    ]);
  });
});

describe('complete', () => {
  test('keeps result and metrics, and ends the lease', async () => {
    const job = await held();
    await say('heartbeat', job, { checkpoint: 1 });
    const answer = await say('complete', job, {
      outcome: 'completed',
      result: { n: [1, null] },
      metrics: { durationMs: 12, cpuMs: 'much' },
      unknown: true,
    });
    expect(answer).toMatchObject({ status: 200, body: { status: 'completed', attempt: 1 } });
    expect(await coordinator.api.job(job.id)).toMatchObject({
      status: 'completed',
      result: { n: [1, null] },
      metrics: { durationMs: 12, cpuMs: null, memoryPeakBytes: null, cost: null },
      checkpoint: null,
      leaseExpiresAt: null,
      error: null,
    });
  });

  test('said again is answered alike; with another outcome or result it is a conflict', async () => {
    const job = await held();
    const report = { outcome: 'completed', result: { b: 1, a: -0 } };
    const first = await say('complete', job, report);
    expect(
      (await say('complete', { ...job, id: job.id.toUpperCase(), leaseToken: job.leaseToken.toUpperCase() }, report))
        .body,
    ).toEqual(first.body);
    expect(await say('complete', job, { outcome: 'completed', result: { a: 0, b: 1 } })).toMatchObject({ status: 200 });
    expect(await say('complete', job, { outcome: 'completed', result: 2 })).toMatchObject({
      status: 409,
      body: { code: 'state_conflict' },
    });
    expect(await say('complete', job, failed())).toMatchObject({ status: 409, body: { code: 'state_conflict' } });
    expect(await say('heartbeat', job)).toMatchObject({ status: 409, body: { code: 'lease_lost' } });
  });

  test('a failure said again is answered alike, though the job has gone on', async () => {
    const job = await held();
    const first = await say('complete', job, failed());
    expect(first.body).toMatchObject({ status: 'pending', attempt: 1, runAt: expect.any(String) });
    await coordinator.api.claimOne({ runnerId: 'next', types: [job.type] });
    expect((await say('complete', job, failed())).body).toEqual(first.body);
    expect(await say('complete', job, failed({ code: 'OTHER' }))).toMatchObject({
      status: 409,
      body: { code: 'state_conflict' },
    });
  });

  test('of a token that lost its lease is refused and kept, once, and the other attempt is untouched', async () => {
    const job = await held();
    await coordinator.sql.expireLease(job.id);
    await coordinator.runMonitor();
    const next = await coordinator.api.claimOne({ runnerId: 'next', types: [job.type] });
    for (const result of ['first', 'second'])
      expect(await say('complete', job, { outcome: 'completed', result })).toMatchObject({
        status: 409,
        body: { code: 'lease_lost' },
      });
    expect((await coordinator.api.complete(next, { outcome: 'completed', result: 'winner' })).status).toBe(200);
    expect((await coordinator.api.job(job.id)).result).toBe('winner');
    expect(await coordinator.api.attempts(job.id)).toMatchObject([
      {
        attempt: 1,
        outcome: 'timed_out',
        lateResult: { outcome: 'completed', result: 'first', error: null, at: expect.stringMatching(/^\d{4}-.*Z$/) },
      },
      { attempt: 2, outcome: 'completed', lateResult: null },
    ]);
  });

  test('a token that never was is refused and leaves no trace', async () => {
    const job = await held();
    expect(await say('complete', { ...job, leaseToken: randomUUID() }, { outcome: 'completed' })).toMatchObject({
      status: 409,
      body: { code: 'lease_lost' },
    });
    expect(await coordinator.api.attempts(job.id)).toMatchObject([{ outcome: 'running', lateResult: null }]);
  });

  test('two reports of one job in one call, one with a stale token: each hears of its own', async () => {
    const job = await held();
    await say('complete', job, failed());
    const second = await coordinator.api.claimOne({ runnerId: 'r', types: [job.type] });
    await coordinator.api.complete(second, { outcome: 'completed', result: 2 });
    const completions = [randomUUID(), job.leaseToken, second.leaseToken].map((leaseToken) => ({
      jobId: job.id,
      leaseToken,
      outcome: 'completed',
      result: 2,
    }));
    const { body } = await coordinator.api.post<{ results: { status?: string; code?: string }[] }>('/jobs/complete', {
      completions,
    });
    expect(body.results.map((one) => one.status ?? one.code)).toEqual(['lease_lost', 'state_conflict', 'completed']);
  });

  test.each<[string, object, [number, string]]>([
    ['a result over the limit', { outcome: 'completed', result: 'x'.repeat(262_144) }, [413, 'payload_too_large']],
    ['a result that cannot be stored', { outcome: 'completed', result: '\ud800' }, [400, 'validation_failed']],
    ['another outcome', { outcome: 'cancelled' }, [400, 'validation_failed']],
  ])('%s is refused and the job runs on', async (_name, report, refusal) => {
    const job = await held();
    const { status, body } = await say('complete', job, report);
    expect([status, body['code']]).toEqual(refusal);
    expect((await coordinator.api.job(job.id)).status).toBe('running');
    expect((await coordinator.api.complete(job)).status).toBe(200);
  });
});

describe('failure', () => {
  test.each<[string, Partial<CreateJob>, object, string, number]>([
    [
      'is tried again after its backoff',
      { retry: { strategy: 'linear', baseMs: 7000, jitter: 0 } },
      failed(),
      'pending',
      7000,
    ],
    [
      'asks for its own wait',
      { retry: { strategy: 'fixed', baseMs: 7000, jitter: 0 } },
      failed({ retryAfterMs: 90_000 }),
      'pending',
      90_000,
    ],
    ['is final without tries left', { maxAttempts: 1 }, failed(), 'failed', 0],
    ['is final when it says so', {}, failed({ retryable: false }), 'failed', 0],
    ['without an error is a failure all the same', {}, { outcome: 'failed' }, 'pending', 0],
    [
      'with an error of odd types is cleaned',
      {},
      failed({ message: { deep: 1 }, code: 5, stack: null, retryable: 'yes' }),
      'pending',
      0,
    ],
  ])('%s', async (_name, more, report, status, delayMs) => {
    const job = await held(more);
    const { body } = await say('complete', job, report);
    expect(body['status']).toBe(status);
    const { ms } = await coordinator.sql.one<{ ms: number }>(
      'SELECT extract(epoch FROM run_at - updated_at)::float8 * 1000 AS ms FROM jobs WHERE id = $1',
      [job.id],
    );
    if (status === 'pending') expect(ms).toBe(delayMs);
    expect((await coordinator.api.job(job.id)).failures).toBe(1);
  });

  test('that cannot be stored as it is, is cleaned and marked, never refused', async () => {
    const job = await held({ maxAttempts: 1 });
    const { status } = await say(
      'complete',
      job,
      failed({ message: `bad \u0000 \ud800 ${'x'.repeat(9000)}`, code: '\u0000', stack: 'y'.repeat(99_999) }),
    );
    expect(status).toBe(200);
    const { error } = await coordinator.api.job(job.id);
    expect(error?.message).toMatch(/^bad \ufffd \ufffd x+… \(cut\)$/);
    expect(error?.code).toBe('\ufffd');
    expect(error?.stack).toMatch(/… \(cut\)$/);
  });
});

describe('release', () => {
  test('puts the job back, counts no failure, and can wait', async () => {
    const job = await held({ maxAttempts: 1 });
    const { body } = await say('release', job, {
      delayMs: 60_000,
      checkpoint: { at: 5 },
      logs: [{ level: 'info', message: 'bye' }],
    });
    const read = await coordinator.api.job(job.id);
    expect(body).toEqual({ status: 'pending', attempt: 1, runAt: read.runAt });
    expect(read).toMatchObject({
      status: 'pending',
      failures: 0,
      attempt: 1,
      checkpoint: { at: 5 },
      leaseExpiresAt: null,
    });
    expect(Date.parse(read.runAt) - Date.parse(read.updatedAt)).toBe(60_000);
    expect((await say('release', job)).body).toEqual(body);
  });

  test('takes no checkpoint over the limit', async () => {
    const job = await held();
    expect(await say('release', job, { checkpoint: 'x'.repeat(262_144) })).toMatchObject({
      status: 413,
      body: { code: 'payload_too_large' },
    });
    expect((await coordinator.api.job(job.id)).status).toBe('running');
  });
});

describe('timeout', () => {
  test.each([
    ['lease', 'sent no heartbeat'],
    ['deadline', 'at its deadline'],
  ] as const)('by %s goes through the same door as a failure', async (by, words) => {
    const job = await held({ maxAttempts: 2 });
    await (by === 'lease' ? coordinator.sql.expireLease(job.id) : coordinator.sql.passDeadline(job.id));
    await coordinator.runMonitor();
    expect(await coordinator.api.job(job.id)).toMatchObject({
      status: 'pending',
      failures: 1,
      error: { code: 'timed_out', message: expect.stringContaining(words) },
    });
    const again = await coordinator.api.claimOne({ runnerId: 'r', types: [job.type] });
    await coordinator.sql.expireLease(again.id);
    await coordinator.runMonitor();
    expect(await coordinator.api.job(job.id)).toMatchObject({ status: 'failed', failures: 2 });
  });

  test('of more than one batch in one go, and of one that would break its policy’s arithmetic', async () => {
    const type = uniqueType();
    for (let at = 0; at < 2; at += 1)
      await coordinator.api.post('/jobs/bulk', {
        jobs: Array.from({ length: 600 }, () => ({
          type,
          maxAttempts: 1000,
          retry: { strategy: 'exponential', baseMs: 0, factor: 100 },
        })),
      });
    for (let at = 0; at < 3; at += 1) await coordinator.api.claim({ runnerId: 'r', types: [type], max: 500 });
    await coordinator.sql.query(
      "UPDATE jobs SET failures = 500, lease_expires_at = now() - interval '1 ms' WHERE type = $1",
      [type],
    );
    await coordinator.runMonitor();
    expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'pending' AND failures = 501", [type])).toBe(
      1200,
    );
  });

  test('leaves alone what is held, and what waits', async () => {
    const job = await held();
    const { job: delayed } = await jobIn('delayed', coordinator, { expiresAt: '2099-01-01T00:00:00Z' });
    await coordinator.runMonitor();
    expect([(await coordinator.api.job(job.id)).status, (await coordinator.api.job(delayed.id)).status]).toEqual([
      'running',
      'pending',
    ]);
  });
});

describe('what must not keep a report from being told', () => {
  const lines = async (id: string) =>
    (await coordinator.api.get<{ items: { message: string; fields: unknown }[] }>(`/jobs/${id}/logs?limit=500`)).body
      .items;

  test.each(['completed', 'failed'])(
    '%s: more log lines than a call may bring: the middle is dropped, and marked',
    async (outcome) => {
      const job = await held({ maxAttempts: 1 });
      const logs = Array.from({ length: 1500 }, (_, at) => ({ level: 'info', message: `line ${at}` }));
      expect(await say('complete', job, { ...(outcome === 'failed' ? failed() : { outcome }), logs })).toMatchObject({
        status: 200,
        body: { status: outcome },
      });
      expect(await coordinator.sql.count('job_logs WHERE job_id = $1', [job.id])).toBe(1000);
      const messages = (
        await coordinator.sql.query<{ message: string }>(
          'SELECT message FROM job_logs WHERE job_id = $1 ORDER BY seq',
          [job.id],
        )
      ).map(({ message }) => message);
      expect([messages[0], messages[499], messages[500], messages[501], messages[999]]).toEqual([
        'line 0',
        'line 499',
        '501 lines were dropped here: a call brings 1000 at most',
        'line 1001',
        'line 1499',
      ]);
    },
  );

  test('a line that is none, fields that are too large, log lines that are no list', async () => {
    const job = await held();
    expect(
      (
        await say('heartbeat', job, {
          logs: [
            'a text',
            7,
            null,
            { message: 'm', fields: { big: 'x'.repeat(20_000) } },
            { message: 'n', fields: { small: 'x'.repeat(15_000) } },
          ],
        })
      ).status,
    ).toBe(200);
    expect((await say('heartbeat', job, { logs: 'only a text' })).status).toBe(200);
    expect((await say('heartbeat', job, { logs: { not: 'a list' } })).status).toBe(200);
    expect((await lines(job.id)).map(({ message, fields }) => [message, fields])).toEqual([
      ['a text', null],
      ['7', null],
      ['', null],
      ['m', { dropped: 'takes 20010 characters as JSON; at most 16000 are kept' }],
      ['n', { small: 'x'.repeat(15_000) }],
      ['only a text', null],
      ['{"not":"a list"}', null],
    ]);
  });

  test('progress and metrics that are none are passed over, and the lease is extended', async () => {
    const job = await held();
    for (const progress of ['half', 7, null, [1]]) expect((await say('heartbeat', job, { progress })).status).toBe(200);
    expect((await coordinator.api.job(job.id)).progress).toBeNull();
    for (const metrics of ['fast', 7, null, []]) {
      const next = await held();
      expect([metrics, (await say('complete', next, { outcome: 'completed', metrics })).status]).toEqual([
        metrics,
        200,
      ]);
    }
  });

  test.each([
    ['a text', 'a text'],
    [7, '7'],
    [null, ''],
    [['a', 1], '["a",1]'],
  ])('an error that is %j is told as %j', async (error, message) => {
    const job = await held({ maxAttempts: 1 });
    expect(await say('complete', job, { outcome: 'failed', error })).toMatchObject({
      status: 200,
      body: { status: 'failed' },
    });
    expect((await coordinator.api.job(job.id)).error).toEqual({ message, retryable: true });
  });

  test('a result beside a failure, however bad or large', async () => {
    for (const result of ['\u0000', 'x'.repeat(300_000)]) {
      const job = await held({ maxAttempts: 1 });
      expect(await say('complete', job, { ...failed(), result })).toMatchObject({
        status: 200,
        body: { status: 'failed' },
      });
      expect(await coordinator.api.job(job.id)).toMatchObject({ status: 'failed', result: null });
      const late = await held();
      await coordinator.sql.expireLease(late.id);
      await coordinator.runMonitor();
      expect((await say('complete', late, { ...failed(), result })).status).toBe(409);
      expect(await coordinator.api.attempts(late.id)).toMatchObject([
        { lateResult: { outcome: 'failed', result: null, error: { message: 'boom' } } },
      ]);
    }
  });

  test('what a runner reports after it released the job is kept', async () => {
    const job = await held();
    await say('release', job);
    expect(await say('complete', job, { outcome: 'completed', result: 'done all the same' })).toMatchObject({
      status: 409,
      body: { code: 'lease_lost' },
    });
    expect(await coordinator.api.attempts(job.id)).toMatchObject([
      { outcome: 'released', lateResult: { outcome: 'completed', result: 'done all the same' } },
    ]);
  });
});
