import { estimateRunning, estimateWaiting } from '../../coordinator/domain/insight/estimate';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

const at = (seconds: number) => new Date(1_800_000_000_000 + seconds * 1000);

describe('a running job', () => {
  const job = (percent: number | null, told = 30) => ({
    startedAt: at(0),
    progress: percent === null ? null : { percent, message: null, at: at(told).toISOString() },
  });

  it('goes by its own pace', () => {
    expect(estimateRunning(job(25), { now: at(40), meanRunMs: 5000 })).toEqual({ startAt: at(0), finishAt: at(120) });
  });

  it('without progress goes by its type, and is never over already', () => {
    expect(estimateRunning(job(null), { now: at(10), meanRunMs: 60_000 }).finishAt).toEqual(at(60));
    expect(estimateRunning(job(0), { now: at(90), meanRunMs: 60_000 }).finishAt).toEqual(at(90));
    expect(estimateRunning(job(null), { now: at(10), meanRunMs: null }).finishAt).toBeNull();
  });
});

describe('a waiting job', () => {
  const past = { now: at(100), meanRunMs: 4000, outPerMinute: 30 };

  it('goes by those before it and how fast they are done', () => {
    expect(estimateWaiting({ runAt: at(50) }, past, 60)).toEqual({ startAt: at(220), finishAt: at(224) });
  });

  it('starts when it is due, if none is before it', () => {
    expect(estimateWaiting({ runAt: at(500) }, past, 0)).toEqual({ startAt: at(500), finishAt: at(504) });
    expect(estimateWaiting({ runAt: at(50) }, { ...past, meanRunMs: null, outPerMinute: 0 }, 0)).toEqual({
      startAt: at(100),
      finishAt: null,
    });
  });

  it('behind others of which none was ever done, nobody knows', () => {
    expect(estimateWaiting({ runAt: at(50) }, { ...past, outPerMinute: 0 }, 3)).toEqual({
      startAt: null,
      finishAt: null,
    });
  });
});

it('is told when one job is read', async () => {
  const coordinator = await startCoordinator();
  const { api, sql } = coordinator;
  const type = uniqueType();
  const done = await api.create({ type });
  await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }));
  expect((await api.job(done.id)).estimate).toBeNull();
  await sql.query("UPDATE jobs SET started_at = finished_at - interval '20 seconds' WHERE id = $1", [done.id]);
  const waiting = await api.create({ type, delayMs: 60_000 });
  const { runAt, estimate } = await api.job(waiting.id);
  expect(estimate?.startAt).toBe(runAt);
  expect(new Date(estimate?.finishAt ?? 0).getTime() - new Date(runAt).getTime()).toBe(20_000);
  await api.create({ type });
  const running = await api.claimOne({ runnerId: 'r', types: [type] });
  const read = await api.job(running.id);
  expect(read.estimate?.startAt).toBe(read.startedAt);
  expect(new Date(read.estimate?.finishAt ?? 0).getTime() - new Date(read.startedAt ?? 0).getTime()).toBe(20_000);
  await coordinator.stop();
});
