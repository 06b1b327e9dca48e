import { z } from 'zod';
import { type Client, ConfigurationError, defineJob, Runner } from '@baton/runner-sdk';

const syncMovie = defineJob({
  type: 'TMDB_SYNC',
  arguments: z.object({ movieId: z.int(), since: z.coerce.date().optional() }),
  result: z.object({ title: z.string() }),
});
const ping = defineJob({ type: 'PING' });

/** Never called: the compiler is the test, in `tsc -p tsconfig.json`. */
export async function compiles(client: Client, runner: Runner): Promise<void> {
  const job = await client.create(syncMovie, { movieId: 603 });
  const id: number = job.arguments.movieId;
  const title: string = (await client.wait(job)).title;
  const byId: string = (await client.wait('id', { definition: syncMovie })).title;
  const unknown: unknown = await client.wait('id');
  await client.create(ping);
  await client.create('ANY', { whatever: [id, title, byId, unknown] }, { queue: 'x' });
  // @ts-expect-error the arguments are needed
  await client.create(syncMovie);
  // @ts-expect-error movieId is a number
  await client.create(syncMovie, { movieId: '603' });
  // @ts-expect-error no such option
  await client.create(syncMovie, { movieId: 603 }, { prioritty: 1 });
  // @ts-expect-error the result has no year
  const year = (await client.wait(job)).year;
  // @ts-expect-error a result that nothing is known of
  const untyped = (await client.wait('id')).title;
  await client.create('ANY', { year, untyped });
  for (const one of await client.createMany(syncMovie, [{ movieId: 1 }])) one.arguments.movieId.toFixed();
  const judged = await client.createMany(syncMovie, [{ movieId: 1 }], { atomic: false });
  // @ts-expect-error with atomic: false any of them may be an error
  for (const one of judged) one.arguments.movieId.toFixed();

  await client.schedules.put(syncMovie, { movieId: 603 }, { name: 'sync', cron: '@daily', job: { queue: 'x' } });
  await client.schedules.create('ANY', { whatever: 1 }, { name: 'any', everyMs: 60_000, overlap: 'skip' });
  // @ts-expect-error movieId is a number
  await client.schedules.put(syncMovie, { movieId: '603' }, { name: 'sync', cron: '@daily' });
  // @ts-expect-error the schedule says when
  await client.schedules.put(ping, undefined, { name: 'ping', cron: '@daily', job: { runAt: '2040-01-01T00:00:00Z' } });
  // @ts-expect-error no such policy
  await client.schedules.create(ping, undefined, { name: 'ping', cron: '@daily', overlap: 'queue' });

  await client.workflow('sync', (workflow) => {
    const first = workflow.add(syncMovie, { movieId: 603 });
    const approve = workflow.gate('approve', { after: [first], expiresInMs: 60_000 });
    workflow.add(ping, undefined, { after: [approve, first], onDependencyFailure: 'run' });
    // @ts-expect-error movieId is a number
    workflow.add(syncMovie, { movieId: '603' });
    // @ts-expect-error after takes steps, not keys
    workflow.add(ping, undefined, { after: ['approve'] });
  });
  await client.chain([[syncMovie, { movieId: 603 }], [ping], ['ANY', { whatever: 1 }]]);
  // @ts-expect-error movieId is a number
  await client.chain([[ping], [syncMovie, { movieId: '603' }]]);

  runner.handleMany(syncMovie, { max: 10, lingerMs: 5 }, (jobs) =>
    jobs.map(({ arguments: { movieId }, job }) =>
      job.attempt > 1 ? new Error('no') : { title: String(movieId.toFixed()) },
    ),
  );
  // @ts-expect-error the result needs a title
  runner.handleMany(syncMovie, { max: 10 }, (jobs) => jobs.map(() => ({ name: 'x' })));
  runner.handle(ping, async (_args, job) => {
    const before: string | undefined = (await job.resultOf(syncMovie))?.title;
    // @ts-expect-error the result has no year
    await job.resultOf(syncMovie).then((result) => result?.year);
    const any: unknown = await job.resultOf('approve');
    return [before, any];
  });
  runner.handle(syncMovie, (args, { signal, lastCheckpoint }) => ({
    title: `${args.movieId} ${args.since?.getTime()} ${signal.aborted} ${String(lastCheckpoint)}`,
  }));
  // @ts-expect-error the result needs a title
  runner.handle(syncMovie, () => ({ name: 'x' }));
  // @ts-expect-error arguments have no id
  runner.handle(syncMovie, (args) => ({ title: args.id }));
  runner.handle('ANY', (args: unknown) => args);
  // @ts-expect-error nothing is known of the arguments
  runner.handle('ANY', (args) => args.id);
}

describe('defineJob', () => {
  it('refuses defaults out of range, in words', () => {
    expect(() => defineJob({ type: 'X', timeoutMs: 0 })).toThrow(ConfigurationError);
    expect(() => defineJob({ type: 'no blanks' })).toThrow('type: must start with a letter');
    expect(() => defineJob({ type: 'X', priorty: 1 } as never)).toThrow('priorty');
  });
});

describe('Runner', () => {
  const connection = { coordinatorUrl: 'http://127.0.0.1:1', apiKey: 'key' };

  it('does not start without handlers, or with a wrong setting', async () => {
    await expect(new Runner(connection).start()).rejects.toThrow('has no handlers');
    await expect(new Runner({ ...connection, leaseMs: 5 }).handle('X', () => null).start()).rejects.toThrow('leaseMs');
    await expect(new Runner({ ...connection, waitMs: 90_000 }).handle('X', () => null).start()).rejects.toThrow(
      'waitMs',
    );
  });

  it('has one handler a type', () => {
    expect(() => new Runner(connection).handle('X', () => null).handle('X', () => null)).toThrow(
      'a handler for X already',
    );
  });
});
