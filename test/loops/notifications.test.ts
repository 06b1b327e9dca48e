import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { Notifications, type ReadyLane } from '../../coordinator/state/notifications';
import { type Cluster, startCluster } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const readyLane = (laneId: number, laterMs = 0): ReadyLane => ({ laneId, positionMs: 1_700_000_000_000 + laterMs });

const notificationsOf = (from: string) =>
  new Notifications(from, (error) => {
    throw error;
  });

describe('notifications', () => {
  test('are delivered here at once and, as one message, to the others, but not to their sender again', () => {
    const [mine, other] = [notificationsOf('mine'), notificationsOf('other')];
    const heard: unknown[] = [];
    for (const [name, notifications] of [
      ['mine', mine],
      ['other', other],
    ] as const) {
      notifications.on('ready', (lanes) => heard.push([name, lanes.map((lane) => lane.laneId)]));
      notifications.on('finished', (ids) => heard.push([name, ids]));
      notifications.on('runners', () => heard.push([name, 'runners']));
    }
    mine.publishReady([readyLane(1), readyLane(2)]);
    mine.publishFinished(['a']);
    mine.publishRunners();
    const message = mine.takeMessage() ?? '';
    mine.receive(message);
    other.receive(message);
    expect(heard).toEqual([
      ['mine', [1, 2]],
      ['mine', ['a']],
      ['mine', 'runners'],
      ['other', [1, 2]],
      ['other', ['a']],
      ['other', 'runners'],
    ]);
    expect(mine.takeMessage()).toBeNull();
  });

  test('of one lane are merged into the earliest', () => {
    const notifications = notificationsOf('mine');
    notifications.publishReady([readyLane(1, 500)]);
    notifications.publishReady([readyLane(1, 20)]);
    notifications.publishReady([readyLane(1, 700)]);
    expect(JSON.parse(notifications.takeMessage() ?? '')).toMatchObject({
      ready: [{ laneId: 1, positionMs: 1_700_000_000_020 }],
    });
  });

  test('fit into one NOTIFY, however many there are', () => {
    const notifications = notificationsOf(randomUUID());
    notifications.publishReady(
      Array.from({ length: 500 }, (_, at) => ({ laneId: 2_000_000_000 + at, positionMs: 2_000_000_000_000 })),
    );
    notifications.publishFreed(Array.from({ length: 50 }, (_, at) => `${at}`.padEnd(200, 'q')));
    notifications.publishDue([315_360_000_000]);
    notifications.publishQueues();
    notifications.publishFinished(Array.from({ length: 100 }, () => randomUUID()));
    notifications.publishRunners();
    expect(Buffer.byteLength(notifications.takeMessage() ?? '')).toBeLessThan(7900);
    notifications.publishFinished(Array.from({ length: 500 }, () => randomUUID()));
    expect(JSON.parse(notifications.takeMessage() ?? '')).toMatchObject({ finishedMany: true });
  });
});

describe('on the channel', () => {
  let cluster: Cluster;
  beforeAll(async () => (cluster = await startCluster(2)));
  afterAll(() => cluster.stop());

  const GARBAGE = [
    '',
    'x',
    '{',
    'null',
    '5',
    '[]',
    '""',
    '{}',
    ...[
      '5',
      '"abc"',
      'null',
      '[null]',
      '[5]',
      '[{}]',
      '[[]]',
      '{"length":3}',
      '[{"laneId":"x","positionMs":null}]',
      '[{"laneId":1e99,"positionMs":0}]',
    ].flatMap((value) =>
      ['ready', 'finished', 'finishedMany', 'runners', 'due', 'freed', 'queues'].map(
        (field) => `{"from":"evil","${field}":${value}}`,
      ),
    ),
  ];

  test('garbage stops nobody', async () => {
    const [here, there] = cluster.coordinators;
    const type = uniqueType();
    const parked = there?.api.claim({ runnerId: 'r', types: [type], waitMs: 20_000 });
    for (const message of GARBAGE) await cluster.sql.query('SELECT pg_notify($1, $2)', ['baton:baton', message]);
    const { id } = (await here?.api.create({ type })) ?? {};
    expect((await parked)?.map((job) => job.id)).toEqual([id]);
  });

  test('of 100 lanes and 100 finished jobs in one turn are sent without a failed message', async () => {
    const [here, there] = cluster.coordinators;
    const type = uniqueType();
    await here?.api.post('/jobs/bulk', { jobs: Array.from({ length: 100 }, (_, at) => ({ type: `${type}-${at}` })) });
    const claimed = await here?.api.claim({
      runnerId: 'r',
      max: 100,
      types: Array.from({ length: 100 }, (_, at) => `${type}-${at}`),
    });
    await here?.api.post('/jobs/complete', {
      completions: claimed?.map((job) => ({ jobId: job.id, leaseToken: job.leaseToken, outcome: 'completed' })),
    });
    await here?.api.post('/jobs/bulk', { jobs: Array.from({ length: 100 }, (_, at) => ({ type: `${type}-${at}` })) });
    const parked = there?.api.claim({ runnerId: 'r', types: [type], waitMs: 20_000 });
    await here?.api.create({ type });
    expect((await parked)?.length).toBe(1);
    expect(here?.logged.filter(({ message }) => message.includes('sending of notifications'))).toEqual([]);
  });

  test('that never came are made up for by the poll each second', async () => {
    const [, there] = cluster.coordinators;
    const type = uniqueType();
    const made = await there?.api.create({ type, delayMs: 3_600_000 });
    // The poll that the first claim started is over.
    expect(await there?.api.claim({ runnerId: 'r', types: [type] })).toEqual([]);
    const parked = there?.api.claim({ runnerId: 'r', types: [type], waitMs: 50_000 });
    await eventually(() => there?.app.services.dispatcher.size === 1);
    await cluster.sql.makeDue(made?.id ?? '');
    expect((await parked)?.map((job) => job.id)).toEqual([made?.id]);
  });

  test('tell everybody what was created, and what has finished', async () => {
    const [here] = cluster.coordinators;
    const listener = new Client({ connectionString: cluster.sql.url });
    const received: string[] = [];
    listener.on('notification', ({ payload }) => received.push(payload ?? ''));
    await listener.connect();
    await listener.query('LISTEN "baton:baton"');
    const { id, type } = (await here?.api.create({ type: uniqueType() })) ?? { id: '', type: '' };
    const { laneId } = await cluster.sql.one<{ laneId: number }>('SELECT lane_id AS "laneId" FROM jobs WHERE id = $1', [
      id,
    ]);
    await eventually(
      () => received.join(),
      (all) => all.includes(`"laneId":${laneId},`),
    );
    const claimed = await here?.api.claimOne({ runnerId: 'r', types: [type] });
    if (claimed !== undefined) await here?.api.complete(claimed);
    await eventually(
      () => received.join(),
      (all) => all.includes(id),
    );
    await listener.end();
  });

  test('of others wake a waiting read, which does not depend on its poll', async () => {
    const [, there] = cluster.coordinators;
    const { id } = (await there?.api.create({ type: uniqueType() })) ?? {};
    const waiting = there?.api.get<{ status: string }>(`/jobs/${id}/wait?waitMs=50000`);
    await eventually(() => there?.app.services.waitingReads.size === 1);
    await cluster.sql.query('SELECT pg_notify($1, $2)', [
      'baton:baton',
      JSON.stringify({ from: 'another', finished: [id] }),
    ]);
    expect((await waiting)?.body.status).toBe('pending');
  });

  test('of others reach the lanes of waiting claims', async () => {
    const [, there] = cluster.coordinators;
    const heard = jest.fn();
    there?.app.context.notifications.on('ready', heard);
    await cluster.sql.query('SELECT pg_notify($1, $2)', [
      'baton:baton',
      JSON.stringify({ from: 'another', ready: [readyLane(4242)] }),
    ]);
    await eventually(
      () => heard.mock.calls.flat(2),
      (lanes) => lanes.some((one: ReadyLane) => one.laneId === 4242),
    );
  });
});
