import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { Hints, type ReadyHint } from '../../coordinator/domain/events/hints';
import { type Cluster, startCluster } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const hint = (laneId: number, laterMs = 0): ReadyHint => ({ laneId, positionMs: 1_700_000_000_000 + laterMs });

const hintsOf = (from: string) =>
  new Hints(from, (error) => {
    throw error;
  });

describe('hints', () => {
  test('are heard here at once and, as one message, by others, but not by oneself', () => {
    const [mine, other] = [hintsOf('mine'), hintsOf('other')];
    const heard: unknown[] = [];
    for (const [name, hints] of [
      ['mine', mine],
      ['other', other],
    ] as const) {
      hints.on('ready', (lanes) => heard.push([name, lanes.map((lane) => lane.laneId)]));
      hints.on('finished', (ids) => heard.push([name, ids]));
      hints.on('roster', () => heard.push([name, 'roster']));
    }
    mine.giveReady([hint(1), hint(2)]);
    mine.giveFinished(['a']);
    mine.giveRoster();
    const message = mine.takeMessage() ?? '';
    mine.hear(message);
    other.hear(message);
    expect(heard).toEqual([
      ['mine', [1, 2]],
      ['mine', ['a']],
      ['mine', 'roster'],
      ['other', [1, 2]],
      ['other', ['a']],
      ['other', 'roster'],
    ]);
    expect(mine.takeMessage()).toBeNull();
  });

  test('of one lane are told as the earliest', () => {
    const hints = hintsOf('mine');
    hints.giveReady([hint(1, 500)]);
    hints.giveReady([hint(1, 20)]);
    hints.giveReady([hint(1, 700)]);
    expect(JSON.parse(hints.takeMessage() ?? '')).toMatchObject({
      ready: [{ laneId: 1, positionMs: 1_700_000_000_020 }],
    });
  });

  test('fit into one NOTIFY, however many there are', () => {
    const hints = hintsOf(randomUUID());
    hints.giveReady(
      Array.from({ length: 500 }, (_, at) => ({ laneId: 2_000_000_000 + at, positionMs: 2_000_000_000_000 })),
    );
    hints.giveFreed(Array.from({ length: 50 }, (_, at) => `${at}`.padEnd(200, 'q')));
    hints.giveDue([315_360_000_000]);
    hints.giveQueues();
    hints.giveFinished(Array.from({ length: 100 }, () => randomUUID()));
    hints.giveRoster();
    expect(Buffer.byteLength(hints.takeMessage() ?? '')).toBeLessThan(7900);
    hints.giveFinished(Array.from({ length: 500 }, () => randomUUID()));
    expect(JSON.parse(hints.takeMessage() ?? '')).toMatchObject({ finishedMany: true });
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
      ['ready', 'finished', 'finishedMany', 'roster', 'due', 'freed', 'queues'].map(
        (field) => `{"from":"evil","${field}":${value}}`,
      ),
    ),
  ];

  test('garbage from others stops nobody', async () => {
    const [here, there] = cluster.coordinators;
    const type = uniqueType();
    const parked = there?.api.claim({ runnerId: 'r', types: [type], waitMs: 20_000 });
    for (const message of GARBAGE) await cluster.sql.query('SELECT pg_notify($1, $2)', ['baton', message]);
    const { id } = (await here?.api.create({ type })) ?? {};
    expect((await parked)?.map((job) => job.id)).toEqual([id]);
  });

  test('100 lanes and 100 finished jobs in one turn are told without a failed message', async () => {
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
    expect(here?.logged.filter(({ message }) => message.includes('sending of hints'))).toEqual([]);
  });

  test('without any hint a job is found by the look that comes each second', async () => {
    const [, there] = cluster.coordinators;
    const type = uniqueType();
    const made = await there?.api.create({ type, delayMs: 3_600_000 });
    // The look that comes with the first claim is over.
    expect(await there?.api.claim({ runnerId: 'r', types: [type] })).toEqual([]);
    const parked = there?.api.claim({ runnerId: 'r', types: [type], waitMs: 50_000 });
    await eventually(() => there?.app.desk.claims.size === 1);
    await cluster.sql.makeDue(made?.id ?? '');
    expect((await parked)?.map((job) => job.id)).toEqual([made?.id]);
  });

  test('what is created, and what has finished, is told to all', async () => {
    const [here] = cluster.coordinators;
    const listener = new Client({ connectionString: cluster.sql.url });
    const told: string[] = [];
    listener.on('notification', ({ payload }) => told.push(payload ?? ''));
    await listener.connect();
    await listener.query('LISTEN baton');
    const { id, type } = (await here?.api.create({ type: uniqueType() })) ?? { id: '', type: '' };
    const { laneId } = await cluster.sql.one<{ laneId: number }>('SELECT lane_id AS "laneId" FROM jobs WHERE id = $1', [
      id,
    ]);
    await eventually(
      () => told.join(),
      (all) => all.includes(`"laneId":${laneId},`),
    );
    const claimed = await here?.api.claimOne({ runnerId: 'r', types: [type] });
    if (claimed !== undefined) await here?.api.complete(claimed);
    await eventually(
      () => told.join(),
      (all) => all.includes(id),
    );
    await listener.end();
  });

  test('a wait is woken by what others tell, not only by its look', async () => {
    const [, there] = cluster.coordinators;
    const { id } = (await there?.api.create({ type: uniqueType() })) ?? {};
    const waiting = there?.api.get<{ status: string }>(`/jobs/${id}/wait?waitMs=50000`);
    await eventually(() => there?.app.desk.waits.size === 1);
    await cluster.sql.query('SELECT pg_notify($1, $2)', ['baton', JSON.stringify({ from: 'another', finished: [id] })]);
    expect((await waiting)?.body.status).toBe('pending');
  });

  test('a waiting claim is woken by what others tell of', async () => {
    const [, there] = cluster.coordinators;
    const heard = jest.fn();
    there?.app.context.hints.on('ready', heard);
    await cluster.sql.query('SELECT pg_notify($1, $2)', [
      'baton',
      JSON.stringify({ from: 'another', ready: [hint(4242)] }),
    ]);
    await eventually(
      () => heard.mock.calls.flat(2),
      (hints) => hints.some((one: ReadyHint) => one.laneId === 4242),
    );
  });
});
