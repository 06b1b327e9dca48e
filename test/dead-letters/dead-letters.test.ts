import type { BulkOperation, DeadLetter, DeadLetterGroup, Job } from '@baton/runner-sdk/protocol';
import { fingerprintOf, patternOf } from '../../coordinator/domain/jobs/fingerprint';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { jobIn, uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator();
});
afterAll(() => coordinator.stop());

describe('the fingerprint', () => {
  it('is the same for messages that differ in numbers and ids', () => {
    const of = (message: string, code?: string) => fingerprintOf('mail', { message, code });
    expect(of('user 17 has no mailbox 3f2a-99')).toBe(of('user 4 has no mailbox 0b1c-12\nat line 3'));
    expect(of('user 17 has no mailbox')).not.toBe(of('user 17 has no address'));
    expect(of('timeout', 'ETIMEDOUT')).not.toBe(of('timeout'));
    expect(fingerprintOf('a', { message: 'x' })).not.toBe(fingerprintOf('b', { message: 'x' }));
    expect(patternOf('took 3.5 s of job-77, id 0198c0de-1b2f-7000')).toBe('took #.# s of #, id #');
  });

  it('is what the migration gave to jobs that had failed before', async () => {
    const type = uniqueType();
    const message = 'row 17 of file-9a.csv: é is not in 0x1F\nsecond line';
    await fail(type, message, 'E17');
    const [row] = await coordinator.sql.query<{ stored: string; migrated: string }>(
      `SELECT fingerprint AS stored, left(md5(concat_ws(E'\\n', type, COALESCE(error ->> 'code', ''),
         regexp_replace(left(split_part(error ->> 'message', E'\\n', 1), 500), '[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*', '#', 'g'))), 16) AS migrated
       FROM jobs WHERE type = $1`,
      [type],
    );
    expect(row?.stored).toMatch(/^[0-9a-f]{16}$/);
    expect(row?.stored).toBe(row?.migrated);
  });
});

describe('dead letters', () => {
  it('are listed, and nothing else is', async () => {
    const type = uniqueType();
    const failed = await fail(type, 'no');
    await jobIn('completed', coordinator, { type });
    await jobIn('cancelled', coordinator, { type });
    const { items } = expectStatus(
      await coordinator.api.get<{ items: DeadLetter[] }>(`/dead-letters?type=${type}`),
      200,
    );
    expect(items.map(({ id, status }) => [id, status])).toEqual([[failed.id, 'failed']]);
    expect(items[0]?.fingerprint).toMatch(/^[0-9a-f]{16}$/);
  });

  it('are grouped by what they failed of, the largest group first', async () => {
    const type = uniqueType();
    await fail(type, 'cannot read row 1');
    await fail(type, 'disk full', 'ENOSPC');
    const latest = await fail(type, 'cannot read row 22');
    const { items } = expectStatus(
      await coordinator.api.get<{ items: DeadLetterGroup[] }>(`/dead-letters/groups?type=${type}`),
      200,
    );
    expect(items.map(({ count, pattern, code }) => ({ count, pattern, code }))).toEqual([
      { count: 2, pattern: 'cannot read row #', code: null },
      { count: 1, pattern: 'disk full', code: 'ENOSPC' },
    ]);
    expect(items[0]?.latest).toMatchObject({ jobId: latest.id, message: 'cannot read row 22' });
  });

  it('are retried, with edited arguments too, and are dead letters no more', async () => {
    const type = uniqueType();
    const { id } = await fail(type, 'bad input');
    const retried = expectStatus(
      await coordinator.api.post<Job>(`/dead-letters/${id}/retry`, { arguments: { fixed: true } }),
      200,
    );
    expect(retried).toMatchObject({ status: 'pending', arguments: { fixed: true }, failures: 0, error: null });
    expect(await coordinator.api.refusal('get', `/dead-letters/${id}`)).toEqual([404, 'not_found']);
    expect(await coordinator.api.refusal('post', `/dead-letters/${id}/retry`, {})).toEqual([404, 'not_found']);
    expect((await coordinator.api.claimOne({ runnerId: 'r', types: [type] })).arguments).toEqual({ fixed: true });
  });

  it('refuse edited arguments that no create would take', async () => {
    const { id } = await fail(uniqueType(), 'bad');
    expect(
      await coordinator.api.refusal('post', `/dead-letters/${id}/retry`, { arguments: { text: 'x'.repeat(300_000) } }),
    ).toEqual([413, 'payload_too_large']);
    expect(await coordinator.api.refusal('post', `/dead-letters/${id}/retry`, { arguments: '\u0000' })).toEqual([
      400,
      'validation_failed',
    ]);
  });

  it('are retried by group and by filter, in the background too', async () => {
    const type = uniqueType();
    await fail(type, 'row 1 is bad');
    await fail(type, 'row 2 is bad');
    const other = await fail(type, 'disk full');
    const { items } = expectStatus(
      await coordinator.api.get<{ items: DeadLetterGroup[] }>(`/dead-letters/groups?type=${type}`),
      200,
    );
    const fingerprint = items[0]?.fingerprint;
    expect((await coordinator.api.post('/dead-letters/retry', { fingerprint, dryRun: true })).body).toEqual({
      count: 2,
    });
    expect((await coordinator.api.post('/dead-letters/retry', { fingerprint })).body).toEqual({ count: 2 });
    expect((await coordinator.api.job(other.id)).status).toBe('failed');
    const operation = expectStatus(
      await coordinator.api.post<BulkOperation>('/dead-letters/retry', { filter: { type: [type] }, background: true }),
      202,
    );
    expect(operation.matched).toBe(1);
    expect(await coordinator.api.refusal('post', '/dead-letters/retry', {})).toEqual([400, 'validation_failed']);
    for (const body of [{ fingerprint, filter: {} }, { fingerprint, all: true }, { filter: {} }])
      expect(await coordinator.api.refusal('post', '/dead-letters/retry', body)).toEqual([400, 'validation_failed']);
    for (const body of [{}, { olderThanMs: 0 }, { olderThanMs: 1, all: true }])
      expect(await coordinator.api.refusal('post', '/dead-letters/cleanup', body)).toEqual([400, 'validation_failed']);
  });

  it('are deleted by admins, one or by age', async () => {
    const type = uniqueType();
    const [one, old, young] = [await fail(type, 'a'), await fail(type, 'b'), await fail(type, 'c')];
    expect((await coordinator.api.delete(`/dead-letters/${one.id}`)).status).toBe(204);
    await coordinator.sql.query("UPDATE jobs SET finished_at = now() - interval '2 hours' WHERE id = $1", [old.id]);
    const completed = await jobIn('completed', coordinator, { type });
    await coordinator.sql.query("UPDATE jobs SET finished_at = now() - interval '2 hours' WHERE id = $1", [
      completed.job.id,
    ]);
    expect((await coordinator.api.post('/dead-letters/cleanup', { olderThanMs: 3_600_000 })).body).toEqual({
      count: 1,
    });
    expect((await coordinator.api.job(young.id)).status).toBe('failed');
    expect((await coordinator.api.job(completed.job.id)).status).toBe('completed');
    expect(await coordinator.api.refusal('get', `/jobs/${old.id}`)).toEqual([404, 'not_found']);
  });

  it('of another user do not exist for a user', async () => {
    const type = uniqueType();
    const mine = await fail(type, 'mine', undefined, 'ann');
    const theirs = await fail(type, 'theirs', undefined, 'bob');
    const ann = coordinator.api.as(await coordinator.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
    expect(
      expectStatus(await ann.get<{ items: Job[] }>(`/dead-letters?type=${type}`), 200).items.map(({ id }) => id),
    ).toEqual([mine.id]);
    expect(
      expectStatus(await ann.get<{ items: DeadLetterGroup[] }>(`/dead-letters/groups?type=${type}`), 200).items,
    ).toHaveLength(1);
    expect(await ann.refusal('get', `/dead-letters/${theirs.id}`)).toEqual([404, 'not_found']);
    expect(await ann.refusal('post', `/dead-letters/${theirs.id}/retry`, {})).toEqual([404, 'not_found']);
    expect((await ann.post('/dead-letters/retry', { filter: { type: [type] } })).body).toEqual({ count: 1 });
    expect((await coordinator.api.job(theirs.id)).status).toBe('failed');
    expect(await ann.refusal('delete', `/dead-letters/${mine.id}`)).toEqual([403, 'forbidden']);
  });
});

async function fail(type: string, message: string, code?: string, userId?: string): Promise<Job> {
  const { api } = coordinator;
  await api.create({ type, ...(userId === undefined ? {} : { userId }) });
  const claimed = await api.claimOne({ runnerId: 'r', types: [type] });
  expectStatus(
    await api.complete(claimed, {
      outcome: 'failed',
      error: { message, retryable: false, ...(code === undefined ? {} : { code }) },
    }),
    200,
  );
  return api.job(claimed.id);
}
