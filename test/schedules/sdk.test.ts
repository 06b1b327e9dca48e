import { BatonError, Client, defineJob, Runner, type Schedule } from '@baton/runner-sdk';
import { z } from 'zod';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

let stage: Stage;
let client: Client;
beforeAll(async () => {
  stage = await Stage.open();
  client = new Client({
    coordinatorUrl: stage.first.url,
    apiKey: await stage.api.makeKey({ name: 'sdk', role: 'admin' }),
  });
});
afterAll(async () => {
  await client.close();
  await stage.close();
});

const sendDigest = defineJob({
  type: uniqueType('digest'),
  arguments: z.object({ kind: z.enum(['daily', 'weekly']), since: z.coerce.date().optional() }),
  queue: 'mails',
  maxAttempts: 3,
});

it('puts a schedule by a definition, whose jobs a runner handles', async () => {
  const options = { name: uniqueType(), everyMs: 1000, maxRuns: 1, job: { priority: 5, timeoutMs: undefined } };
  const put = (): Promise<Schedule> =>
    client.schedules.put(sendDigest, { kind: 'daily', since: '2026-01-01T00:00:00Z' }, options);
  const schedule = await put();
  expect(schedule.job).toMatchObject({
    type: sendDigest.type,
    queue: 'mails',
    maxAttempts: 3,
    priority: 5,
    arguments: { kind: 'daily', since: '2026-01-01T00:00:00Z' },
  });
  const handled: { kind: string; since: Date | undefined; tickAt: unknown }[] = [];
  const runner = new Runner({
    coordinatorUrl: stage.first.url,
    apiKey: await stage.api.makeKey({ name: 'r', role: 'runner' }),
  });
  runner.handle(sendDigest, ({ kind, since }, { metadata }) => {
    handled.push({ kind, since, tickAt: metadata?.['tickAt'] });
  });
  await runner.start();
  try {
    await eventually(() => handled.length > 0);
  } finally {
    await runner.stop();
  }
  const { items } = await client.schedules.ticks(schedule.id, { outcome: 'created' });
  expect(handled).toEqual([{ kind: 'daily', since: new Date('2026-01-01T00:00:00Z'), tickAt: items[0]?.at }]);
  expect((await client.schedules.get(schedule.id)).status).toBe('ended');
});

it('checks the arguments before anything is sent', async () => {
  const wrong = client.schedules.put(sendDigest, { kind: 'hourly' as never }, { name: 'x', cron: '@daily' });
  await expect(wrong).rejects.toMatchObject({ code: 'invalid_arguments' });
});

it('has the rest of what schedules are steered with', async () => {
  const { schedules } = client;
  const name = uniqueType();
  const { id } = await schedules.create('any', undefined, { name, cron: '0 * * * *' });
  await expect(schedules.create('any', undefined, { name, cron: '@daily' })).rejects.toMatchObject({
    code: 'name_taken',
  });
  expect((await schedules.list({ name })).items.map((one) => one.id)).toEqual([id]);
  expect(await schedules.update(id, { jitterMs: 10 })).toMatchObject({ jitterMs: 10 });
  expect(await schedules.pause(id, 'lunch')).toMatchObject({ status: 'paused', paused: { reason: 'lunch' } });
  expect(await schedules.resume(id)).toMatchObject({ status: 'active' });
  expect(await schedules.run(id)).toMatchObject({ scheduleId: id });
  const span = { from: new Date('2026-02-01T00:00:00Z'), to: '2026-02-01T02:00:00Z' };
  expect(await schedules.backfill(id, span)).toEqual({ count: 3, existing: 0, refused: 0 });
  expect(await schedules.next(id, { count: 2 })).toHaveLength(2);
  expect(await schedules.preview({ cron: '0 12 * * *', timezone: 'Asia/Tokyo', count: 1 })).toHaveLength(1);
  expect((await client.list({ scheduleId: [id] })).items).toHaveLength(4);
  expect((await client.health()).schedules.active).toBeGreaterThan(0);
  expect(await client.metrics()).toMatch(/^baton_schedule_ticks_total\{outcome="created"\} \d/m);
  await schedules.delete(id);
  await expect(schedules.get(id)).rejects.toBeInstanceOf(BatonError);
});
