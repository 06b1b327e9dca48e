import type { Batch, BatchResult, CreatedApiKey, CreatedBatch, Job, Problem } from '@baton/runner-sdk/protocol';
import { advanceLeftBehind } from '../../coordinator/domain/batches/advance';
import { pruneBatches } from '../../coordinator/domain/batches/prune';
import { expectStatus } from '../support/api';
import { startCluster, type Cluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let cluster: Cluster;
let one: TestCoordinator;
let other: TestCoordinator;

beforeAll(async () => {
  cluster = await startCluster(2);
  [one, other] = cluster.coordinators as [TestCoordinator, TestCoordinator];
  // What follows at once is looked at here; what the loop finds has its own tests.
  for (const { app } of cluster.coordinators) {
    await app.loops.pendingWork.stop();
    await app.loops.settle.stop();
  }
});
afterAll(() => cluster.stop());

const make = async (body: object, headers = {}): Promise<CreatedBatch> =>
  expectStatus(await one.api.post<CreatedBatch>('/batches', body, { headers }), 201);
const read = async (id: string, at = one): Promise<Batch> =>
  expectStatus(await at.api.get<Batch>(`/batches/${id}`), 200);
const ended = (id: string): Promise<Batch> =>
  eventually(
    () => read(id),
    ({ finishedAt }) => finishedAt !== null,
  );
const jobs = (type: string, count: number): object[] =>
  Array.from({ length: count }, (_, n) => ({ type, arguments: { n } }));

/** Claims and ends this many jobs of a type, by turns on both coordinators. */
async function work(type: string, count: number, report: object = { outcome: 'completed' }): Promise<void> {
  for (let done = 0; done < count; done += 1) {
    const { api } = done % 2 === 0 ? one : other;
    expectStatus(await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }), report), 200);
  }
}
const FAILURE = { outcome: 'failed', error: { message: 'no', retryable: false } };

const made = async (type: string): Promise<Job[]> =>
  expectStatus(await one.api.get<{ items: Job[] }>(`/jobs?type=${type}`), 200).items;

describe('the life of a batch', () => {
  test('counts its jobs, ends with the last of them, and calls back once with the counts', async () => {
    const type = uniqueType('member');
    const [success, failure, complete] = [uniqueType('success'), uniqueType('failure'), uniqueType('complete')];
    const { id, jobIds, status, counts, callbacks } = await make({
      name: 'nightly',
      metadata: { run: 7 },
      jobs: jobs(type, 3),
      onSuccess: { type: success, arguments: { report: true } },
      onFailure: { type: failure },
      onComplete: { type: complete },
    });
    expect([status, jobIds.length, counts.total, counts.pending]).toEqual(['running', 3, 3, 3]);
    expect(callbacks).toEqual({ onSuccess: null, onFailure: null, onComplete: null });
    await work(type, 2);
    expect(await read(id)).toMatchObject({ percent: 66.6, finishedAt: null, counts: { completed: 2, pending: 1 } });
    await work(type, 1);
    const batch = await ended(id);
    expect(batch).toMatchObject({ status: 'completed', percent: 100, name: 'nightly', metadata: { run: 7 } });
    const [called] = await eventually(
      () => made(success),
      (all) => all.length > 0,
    );
    expect(called?.arguments).toEqual({ report: true, batch: { id, name: 'nightly', counts: batch.counts } });
    await eventually(
      () => read(id),
      (now) => typeof now.callbacks.onComplete === 'string',
    );
    expect(await made(failure)).toEqual([]);
    expect((await read(id, other)).callbacks).toMatchObject({ onSuccess: called?.id, onFailure: null });
    expect((await one.api.job(jobIds[0] ?? '')).batchId).toBe(id);
    const listed = expectStatus(await one.api.get<{ items: Job[] }>(`/jobs?batchId=${id}`), 200).items;
    expect(listed.map((job) => job.id).sort()).toEqual([...jobIds].sort());
  });

  test('ends as failed when a job failed; after its retry it ends anew, and only what was not called yet is', async () => {
    const type = uniqueType('member');
    const [success, failure, complete] = [uniqueType('success'), uniqueType('failure'), uniqueType('complete')];
    const { id } = await make({
      jobs: jobs(type, 2),
      onSuccess: { type: success },
      onFailure: { type: failure },
      onComplete: { type: complete },
    });
    await work(type, 1, FAILURE);
    await work(type, 1);
    expect(await ended(id)).toMatchObject({ status: 'failed', counts: { failed: 1, completed: 1 } });
    await eventually(
      () => made(complete),
      (all) => all.length === 1,
    );
    const again = expectStatus(await one.api.post<Batch & { retried: number }>(`/batches/${id}/retry`, {}), 200);
    expect([again.status, again.retried, again.finishedAt]).toEqual(['running', 1, null]);
    await work(type, 1);
    expect((await ended(id)).status).toBe('completed');
    await eventually(
      () => made(success),
      (all) => all.length === 1,
    );
    expect([(await made(failure)).length, (await made(complete)).length]).toEqual([1, 1]);
    expect(await one.api.refusal('post', `/batches/${id}/retry`, {})).toEqual([409, 'state_conflict']);
  });

  test('an empty one ends at once, and succeeds', async () => {
    const success = uniqueType('success');
    const { id } = await make({ onSuccess: { type: success } });
    expect(await ended(id)).toMatchObject({ status: 'completed', percent: 100, counts: { total: 0 } });
    const [called] = await eventually(
      () => made(success),
      (all) => all.length > 0,
    );
    expect(called?.arguments).toMatchObject({ batch: { id, counts: { total: 0 } } });
  });

  test('an open one takes jobs in parts, each once, and ends only when it is sealed', async () => {
    const type = uniqueType('member');
    const { id, status } = await make({ sealed: false, jobs: jobs(type, 1) });
    expect(status).toBe('open');
    const headers = { 'Idempotency-Key': `part-${id}` };
    const first = expectStatus(
      await one.api.post<CreatedBatch>(`/batches/${id}/jobs`, { jobs: jobs(type, 2) }, { headers }),
      201,
    );
    const again = expectStatus(
      await other.api.post<CreatedBatch>(`/batches/${id}/jobs`, { jobs: jobs(type, 2) }, { headers }),
      200,
    );
    expect([again.jobIds, again.counts.total]).toEqual([first.jobIds, 3]);
    await work(type, 3);
    expect(await read(id)).toMatchObject({ status: 'open', percent: 100, finishedAt: null });
    expectStatus(await other.api.post(`/batches/${id}/seal`), 200);
    expect((await ended(id)).status).toBe('completed');
    const late = await one.api.post<CreatedBatch>(`/batches/${id}/jobs`, { jobs: jobs(type, 2) }, { headers });
    expect(expectStatus(late, 200).jobIds).toEqual(first.jobIds);
    const refused = await one.api.post<Problem>(`/batches/${id}/jobs`, { jobs: jobs(type, 1) });
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      `The batch ${id} is sealed: no jobs can be added to it.`,
    ]);
  });

  test('cancel seals it, ends its jobs, and calls back', async () => {
    const type = uniqueType('member');
    const failure = uniqueType('failure');
    const { id, jobIds } = await make({ sealed: false, jobs: jobs(type, 3), onFailure: { type: failure } });
    await work(type, 1);
    const claimed = await one.api.claimOne({ runnerId: 'r', types: [type] });
    expectStatus(await one.api.post(`/batches/${id}/cancel`, { reason: 'not needed' }), 200);
    expect(await ended(id)).toMatchObject({
      status: 'cancelled',
      sealed: true,
      reason: 'not needed',
      counts: { completed: 1, cancelled: 2 },
    });
    expect((await one.api.complete(claimed)).body).toMatchObject({ code: 'job_cancelled' });
    expect((await one.api.job(jobIds[2] ?? '')).reason).toBe('not needed');
    await eventually(
      () => made(failure),
      (all) => all.length === 1,
    );
    expect(await one.api.refusal('post', `/batches/${id}/cancel`, {})).toEqual([409, 'state_conflict']);
    // A job of it that is retried by hand is not cancelled again.
    expectStatus(await one.api.post(`/jobs/${jobIds[2]}/retry`), 200);
    await work(type, 1);
    expect(await ended(id)).toMatchObject({
      counts: { completed: 2, cancelled: 1 },
      status: 'cancelled',
      reason: null,
    });
  });

  test('two coordinators that end its last jobs at once end it once', async () => {
    const rounds = 20;
    const type = uniqueType('member');
    const complete = uniqueType('complete');
    for (let round = 0; round < rounds; round += 1) {
      const { id } = await make({ jobs: jobs(type, 2), onComplete: { type: complete } });
      const claims = [
        await one.api.claimOne({ runnerId: 'a', types: [type] }),
        await other.api.claimOne({ runnerId: 'b', types: [type] }),
      ];
      await Promise.all([one.api.complete(claims[0] as never), other.api.complete(claims[1] as never)]);
      await eventually(
        () => read(id),
        ({ callbacks }) => typeof callbacks.onComplete === 'string',
      );
    }
    expect(await made(complete)).toHaveLength(rounds);
  });

  test('a wait is answered when it ends', async () => {
    const type = uniqueType('member');
    const { id } = await make({ jobs: jobs(type, 1) });
    const waited = other.api.get<Batch>(`/batches/${id}/wait?waitMs=20000`);
    await eventually(
      () => other.app.services.waitingReads.size,
      (size) => size > 0,
    );
    await work(type, 1);
    expect(expectStatus(await waited, 200).status).toBe('completed');
  });
});

describe('what a crash left', () => {
  test('is done by the loop: the end, the callbacks, the rest of a cancel', async () => {
    const type = uniqueType('member');
    const complete = uniqueType('complete');
    const { id, jobIds } = await make({ jobs: jobs(type, 2), onComplete: { type: complete } });
    // As if the coordinator had died after the commits.
    await cluster.sql.query("UPDATE batches SET cancelled_at = now(), reason = 'gone' WHERE id = $1", [id]);
    await cluster.sql.query(
      "UPDATE jobs SET status = 'cancelled', finished_at = now(), position = NULL WHERE id = $1",
      [jobIds[0]],
    );
    await advanceLeftBehind(other.app.context, null);
    expect((await ended(id)).counts.cancelled).toBe(2);
    await cluster.sql.query('UPDATE batches SET callbacks_due = true WHERE id = $1', [id]);
    await advanceLeftBehind(other.app.context, null);
    await eventually(
      () => made(complete),
      (all) => all.length > 0,
    );
    expect(await made(complete)).toHaveLength(1);
  });

  test('a callback that the queue has no room for waits for it; one that may never be created is told', async () => {
    const queue = uniqueType('queue');
    const complete = uniqueType('complete');
    expectStatus(await one.api.call('put', `/queues/${queue}`, { json: { maxWaiting: 1 } }), 200);
    const filler = await one.api.create({ type: complete, queue });
    const { id } = await make({ onComplete: { type: complete, queue } });
    await ended(id);
    await one.app.context.followUps.batches.idle();
    expect((await read(id)).callbacks).toEqual({ onComplete: null });
    expectStatus(await one.api.post(`/jobs/${filler.id}/cancel`), 200);
    await eventually(
      async () => {
        await advanceLeftBehind(one.app.context, null);
        return read(id);
      },
      ({ callbacks }) => typeof callbacks.onComplete === 'string',
    );
    const refused = await make({ onComplete: { type: complete } });
    await cluster.sql.query(
      `UPDATE batches SET caller = '{"name":"x","role":"user","userId":"u","queues":["a"],"types":null}', callback_jobs = '{}', callbacks_due = true WHERE id = $1`,
      [refused.id],
    );
    await advanceLeftBehind(one.app.context, null);
    const { callbackErrors } = await eventually(
      () => read(refused.id),
      (now) => now.callbackErrors.onComplete !== undefined,
    );
    expect(callbackErrors.onComplete).toMatchObject({ code: 'forbidden' });
  });
});

describe('a list cut into parts', () => {
  test('makes jobs of so many items, and gives the results back in order', async () => {
    const type = uniqueType('part');
    const items = Array.from({ length: 25 }, (_, n) => ({ n }));
    const body = { type, items, batchSize: 10, arguments: { unit: 'km' }, name: 'sums' };
    const headers = { 'Idempotency-Key': uniqueType('split') };
    const { id, counts } = expectStatus(await one.api.post<CreatedBatch>('/jobs/split', body, { headers }), 201);
    expect(counts.total).toBe(3);
    expect(expectStatus(await one.api.post<CreatedBatch>('/jobs/split', body, { headers }), 200).id).toBe(id);
    expect((await one.api.post('/jobs/split', { ...body, batchSize: 5 }, { headers })).status).toBe(409);
    const claimed = await one.api.claim({ runnerId: 'r', types: [type], max: 3 });
    for (const job of claimed.reverse()) {
      const args = job.arguments as { items: { n: number }[]; index: number; unit: string };
      expect(args.unit).toBe('km');
      expectStatus(
        await one.api.complete(job, { outcome: 'completed', result: args.items.length * 100 + args.index }),
        200,
      );
    }
    await ended(id);
    const first = expectStatus(
      await one.api.get<{ items: BatchResult[]; nextCursor: string }>(`/batches/${id}/results?limit=2`),
      200,
    );
    const rest = expectStatus(
      await one.api.get<{ items: BatchResult[] }>(`/batches/${id}/results?cursor=${first.nextCursor}`),
      200,
    );
    expect([...first.items, ...rest.items].map(({ index, result }) => [index, result])).toEqual([
      [0, 1000],
      [1, 1001],
      [2, 502],
    ]);
  });

  test.each([
    [{ items: [1], batchSize: 0 }, 'batchSize'],
    [{ items: Array.from({ length: 1001 }, () => 1), batchSize: 1 }, 'batchSize'],
    [{ items: [1], batchSize: 1, arguments: { items: [] } }, 'arguments'],
    [{ items: [1], batchSize: 1, uniqueKey: 'k' }, 'uniqueKey'],
    [{ items: [1], batchSize: 1, quue: 'k' }, 'quue'],
    [{ items: 'abc', batchSize: 1 }, 'items'],
  ])('names what is wrong with it (case %#)', async (body, path) => {
    const refused = await one.api.post<Problem>('/jobs/split', { type: 'part', ...body });
    expect([refused.status, refused.body.errors?.[0]?.path]).toEqual([400, path]);
  });
});

describe('what is refused', () => {
  test.each([
    [{ jobs: [{ type: 'a' }, { type: '' }] }, 'jobs.1.type'],
    [{ jobs: [{ type: 'a', idempotencyKey: 'k' }] }, 'jobs.0.idempotencyKey'],
    [{ onSuccess: { type: 'a', arguments: [1] } }, 'onSuccess.arguments'],
    [{ onFailure: { type: 'a', arguments: { batch: 1 } } }, 'onFailure.arguments.batch'],
    [{ onComplete: { type: 'a', callbackUrl: 'http://127.0.0.1/' } }, 'onComplete.callbackUrl'],
    [{ nmae: 'x' }, 'nmae'],
  ])('%j, and nothing is stored', async (body, path) => {
    const before = await cluster.sql.count('batches');
    const refused = await one.api.post<Problem>('/batches', body);
    expect([refused.status, refused.body.errors?.[0]?.path]).toEqual([400, path]);
    expect(await cluster.sql.count('batches')).toBe(before);
  });

  test('another body under the same key, and others than its own user sees none of it', async () => {
    const headers = { 'Idempotency-Key': uniqueType('batch') };
    const body = { name: 'a', jobs: jobs(uniqueType('member'), 2) };
    const { id, jobIds } = await make(body, headers);
    const again = expectStatus(await other.api.post<CreatedBatch>('/batches', body, { headers }), 200);
    expect([again.id, again.jobIds]).toEqual([id, jobIds]);
    expect((await one.api.post<Problem>('/batches', { ...body, name: 'b' }, { headers })).body.code).toBe(
      'idempotency_conflict',
    );
    const user = one.api.as(await one.api.makeKey({ name: 'u', role: 'user', userId: 'ann' }));
    const limited = one.api.as(await one.api.makeKey({ name: 'l', role: 'producer', queues: ['elsewhere'] }));
    for (const api of [user, limited]) {
      for (const path of ['', '/results', '/wait']) expect((await api.get(`/batches/${id}${path}`)).status).toBe(404);
      for (const verb of ['seal', 'cancel', 'retry'])
        expect((await api.post(`/batches/${id}/${verb}`, verb === 'seal' ? undefined : {})).status).toBe(404);
      expect((await api.post(`/batches/${id}/jobs`, { jobs: [{ type: 'a', queue: 'elsewhere' }] })).status).toBe(404);
      expect(expectStatus(await api.get<{ items: Batch[] }>('/batches'), 200).items).toEqual([]);
    }
    const own = expectStatus(
      await user.post<CreatedBatch>('/batches', { jobs: [{ type: uniqueType('member') }] }),
      201,
    );
    expect([own.userId, (await one.api.job(own.jobIds[0] ?? '')).userId]).toEqual(['ann', 'ann']);
    expect(
      expectStatus(await user.get<{ items: Batch[] }>('/batches?status=running'), 200).items.map((one) => one.id),
    ).toEqual([own.id]);
  });
});

describe('whose they are', () => {
  test('those of a limited key are its successor’s after a rotation, and its own while it still lasts', async () => {
    const { id: keyId, key } = expectStatus(
      await one.api.post<CreatedApiKey>('/api-keys', { name: 'old', role: 'producer', queues: ['rotated'] }),
      201,
    );
    const old = one.api.as(key);
    const body = { jobs: [{ type: uniqueType('member'), queue: 'rotated' }] };
    const { id } = expectStatus(await old.post<CreatedBatch>('/batches', body), 201);
    const rotated = expectStatus(
      await one.api.post<CreatedApiKey>(`/api-keys/${keyId}/rotate`, { graceMs: 60_000 }),
      201,
    );
    const successor = one.api.as(rotated.key);
    const later = expectStatus(await successor.post<CreatedBatch>('/batches', body), 201);
    expect([(await old.get(`/batches/${id}`)).status, (await successor.get(`/batches/${id}`)).status]).toEqual([
      200, 200,
    ]);
    expect((await old.get(`/batches/${later.id}`)).status).toBe(404);
    expectStatus(await successor.post(`/batches/${id}/cancel`, {}), 200);
  });

  test('the jobs and callback jobs of a user’s batch are that user’s, whoever creates it', async () => {
    const type = uniqueType('member');
    const { id, jobIds } = await make({ userId: 'cleo', sealed: false, jobs: jobs(type, 1), onComplete: { type } });
    expect((await one.api.job(jobIds[0] ?? '')).userId).toBe('cleo');
    const foreign = { type, userId: 'dan' };
    for (const [path, body, fault] of [
      ['/batches', { userId: 'cleo', jobs: [{ type }, foreign] }, 'jobs.1.userId'],
      ['/batches', { userId: 'cleo', onFailure: foreign }, 'onFailure.userId'],
      [`/batches/${id}/jobs`, { jobs: [foreign] }, 'jobs.0.userId'],
    ] as const) {
      const refused = await one.api.post<Problem>(path, body);
      expect([path, refused.status, refused.body.errors?.[0]?.path]).toEqual([path, 400, fault]);
    }
    await work(type, 1);
    expectStatus(await one.api.post(`/batches/${id}/seal`), 200);
    const { callbacks } = await eventually(
      () => read(id),
      (now) => typeof now.callbacks.onComplete === 'string',
    );
    expect((await one.api.job(callbacks.onComplete ?? '')).userId).toBe('cleo');
  });

  test('an open batch that is created again under its key is answered with the jobs of that call alone', async () => {
    const headers = { 'Idempotency-Key': uniqueType('batch') };
    const body = { sealed: false, jobs: jobs(uniqueType('member'), 2) };
    const { id, jobIds } = await make(body, headers);
    expectStatus(await one.api.post(`/batches/${id}/jobs`, { jobs: jobs(uniqueType('member'), 3) }), 201);
    const again = expectStatus(await other.api.post<CreatedBatch>('/batches', body, { headers }), 200);
    expect([again.id, again.jobIds, again.counts.total]).toEqual([id, jobIds, 5]);
  });

  test.each([[1e20], [-1], [1.5], ['3'], [[1]], [null]])(
    'an index of %p that a job brings itself is none',
    async (index) => {
      const { id } = await make({ jobs: [{ type: uniqueType('member'), arguments: { index } }] });
      const { items } = expectStatus(await one.api.get<{ items: BatchResult[] }>(`/batches/${id}/results`), 200);
      expect(items[0]?.index).toBeNull();
    },
  );
});

describe('retention', () => {
  test('keeps the jobs of a batch until it has ended, and then takes it whole', async () => {
    const type = uniqueType('member');
    const { id, jobIds } = await make({ jobs: jobs(type, 2) });
    await work(type, 1);
    const refused = await one.api.delete<Problem>(`/jobs/${jobIds[0]}?purge=true`);
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      `It belongs to the batch ${id}, which has not ended; delete it afterwards, or cancel the batch.`,
    ]);
    await work(type, 1);
    await ended(id);
    await pruneBatches(one.app.context);
    expect((await one.api.get(`/batches/${id}`)).status).toBe(200);
    await cluster.sql.query("UPDATE batches SET finished_at = now() - interval '10 years' WHERE id = $1", [id]);
    while (await pruneBatches(one.app.context));
    expect((await one.api.get(`/batches/${id}`)).status).toBe(404);
    expect((await one.api.get(`/jobs/${jobIds[0]}`)).status).toBe(404);
  });
});
