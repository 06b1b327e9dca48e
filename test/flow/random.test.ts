import type { ClaimedJob } from '@baton/runner-sdk/protocol';
import fc from 'fast-check';
import { expectStatus } from '../support/api';
import { Witness } from '../queues/witness';
import { Stage } from './stage';

// Random verbs with keys, orders and limits on two coordinators at once, and then the drain: every job ends, limits
// were never exceeded and orders never broken.

let stage: Stage;
let witness: Witness;
beforeAll(async () => {
  stage = await Stage.open();
  witness = await Witness.install(stage.sql);
  await stage.sql.query(`
    CREATE TABLE starts (nth bigserial, queue text, order_key text, order_seq bigint, together int);
    CREATE FUNCTION started() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO starts (queue, order_key, order_seq, together)
      SELECT s.queue, s.order_key, s.order_seq,
        (SELECT count(*) FROM jobs j WHERE j.queue = s.queue AND j.order_key = s.order_key AND j.status = 'running')
      FROM now_running s WHERE s.status = 'running' AND s.order_key IS NOT NULL;
      RETURN NULL;
    END $$;
    CREATE TRIGGER started AFTER UPDATE ON jobs REFERENCING NEW TABLE AS now_running FOR EACH STATEMENT EXECUTE FUNCTION started();`);
});
afterAll(() => stage.close());

const [CONCURRENCY, PER_KEY] = [4, 2];
/** Jobs are held by it again and again, and all go on within the drain. */
const KEY_RATE = { max: 2, perMs: 40 };
const key = fc.option(fc.constantFrom('a', 'b'), { nil: undefined });
const VERBS = [
  'claim',
  'claim',
  'claim',
  'claim',
  'complete',
  'complete',
  'fail',
  'fail for good',
  'release',
  'cancel',
  'retry',
  'run-now',
  'lose',
  'prioritise',
  'pause',
  'resume',
  'edit',
  'purge one',
  'due',
] as const;

const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant('create' as const),
      on: fc.nat({ max: 1 }),
      at: fc.nat({ max: 99 }),
      orderKey: key,
      concurrencyKey: key,
      isLater: fc.nat({ max: 4 }),
      count: fc.integer({ min: 1, max: 4 }),
      skip: fc.boolean(),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({ verb: fc.constantFrom(...VERBS), on: fc.nat({ max: 1 }), at: fc.nat({ max: 99 }) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

class Play {
  readonly ids: string[] = [];
  readonly claimed: ClaimedJob[] = [];

  constructor(private readonly queue: string) {}

  async do(one: Step): Promise<void> {
    const on = stage.both[one.on] ?? stage.one;
    const id = this.ids[one.at % (this.ids.length || 1)] ?? '';
    const job = this.claimed[one.at % (this.claimed.length || 1)];
    if (one.verb === 'create') return this.create(one);
    if (one.verb === 'claim')
      return void this.claimed.push(...(await stage.claim(this.queue, 3, { runnerId: `runner-${one.on}` }, on)));
    if (one.verb === 'pause' || one.verb === 'resume')
      return void expectStatus(await on.api.post(`/queues/${this.queue}/${one.verb}`, {}), 200);
    if (one.verb === 'prioritise')
      return void expectStatus(
        await on.api.post('/jobs/prioritise', { filter: { queue: this.queue }, priority: one.at % 3 }),
        200,
      );
    if (one.verb === 'due') return void (await on.app.loops.due.runOnce());
    if (job !== undefined && ['complete', 'fail', 'fail for good', 'release', 'lose'].includes(one.verb))
      return this.end(one.verb, job, on);
    if (id === '') return;
    if (one.verb === 'edit')
      await on.api.patch(`/jobs/${id}`, { runAt: new Date(Date.now() + (one.at % 2) * 3_600_000).toISOString() });
    else if (one.verb === 'purge one') await on.api.delete(`/jobs/${id}?purge=true`);
    else if (one.verb === 'cancel' || one.verb === 'retry' || one.verb === 'run-now')
      await on.api.post(`/jobs/${id}/${one.verb}`, {});
  }

  private async create({
    orderKey,
    concurrencyKey,
    isLater,
    count,
    skip,
    on,
  }: Extract<Step, { verb: 'create' }>): Promise<void> {
    const jobs = await stage.create(
      this.queue,
      count,
      {
        ...(orderKey === undefined ? {} : { orderKey, orderOnFailure: skip ? 'skip' : 'block' }),
        ...(concurrencyKey === undefined ? {} : { concurrencyKey }),
        ...(isLater === 0 ? { delayMs: 3_600_000 } : {}),
        maxAttempts: 3,
        retry: { strategy: 'fixed', baseMs: 0 },
      },
      stage.both[on],
    );
    this.ids.push(...jobs.map(({ id }) => id));
  }

  private async end(verb: string, job: ClaimedJob, on: Stage['one']): Promise<void> {
    if (verb === 'complete') await on.api.complete(job);
    else if (verb === 'release') await on.api.post(`/jobs/${job.id}/release`, { leaseToken: job.leaseToken });
    else if (verb === 'lose') await stage.sql.expireLease(job.id).then(() => on.runMonitor());
    else await on.api.complete(job, { outcome: 'failed', error: { message: 'by lot', retryable: verb === 'fail' } });
  }

  /** Everything ends; only then is it seen that nothing stays held. Failed jobs that block are deleted. */
  async drain(): Promise<void> {
    expectStatus(await stage.one.api.post(`/queues/${this.queue}/resume`), 200);
    await stage.sql.query("UPDATE jobs SET lease_expires_at = now() WHERE queue = $1 AND status = 'running'", [
      this.queue,
    ]);
    await stage.sql.query("UPDATE jobs SET run_at = now() WHERE queue = $1 AND status = 'pending'", [this.queue]);
    await stage.one.runMonitor();
    await stage.one.app.loops.due.runOnce();
    for (let empty = 0; empty < 3;) {
      const jobs = await stage.claim(this.queue, 10, { waitMs: 500 }, stage.both[empty % 2]);
      empty = jobs.length === 0 ? empty + 1 : 0;
      await Promise.all(jobs.map((job) => stage.one.api.complete(job)));
      expectStatus(await stage.two.api.post('/jobs/purge', { filter: { queue: this.queue, status: 'failed' } }), 200);
    }
  }

  async judge(): Promise<void> {
    expect(
      await stage.sql.query(
        "SELECT id, status, hold, position, run_at, order_key, concurrency_key FROM jobs WHERE queue = $1 AND status IN ('pending', 'blocked', 'running')",
        [this.queue],
      ),
    ).toEqual([]);
    const most = await witness.most(this.queue);
    expect(most.queue ?? 0).toBeLessThanOrEqual(CONCURRENCY);
    expect(most.key ?? 0).toBeLessThanOrEqual(PER_KEY);
    expect(await stage.sql.count('starts WHERE queue = $1 AND together > 1', [this.queue])).toBe(0);
  }
}

test('every job ends, limits are never exceeded, orders never broken', async () => {
  const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000_000);
  process.stdout.write(`seed of random flow: ${seed} (TEST_SEED)\n`);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), fc.boolean(), async (steps, isRated) => {
      const keyRateLimit = isRated ? KEY_RATE : null;
      const play = new Play(await stage.queue({ concurrency: CONCURRENCY, concurrencyPerKey: PER_KEY, keyRateLimit }));
      // Four at a time, so that verbs meet.
      for (let at = 0; at < steps.length; at += 4)
        await Promise.all(steps.slice(at, at + 4).map((one) => play.do(one)));
      await play.drain();
      await play.judge();
    }),
    { seed, numRuns: Number(process.env['TEST_RUNS'] ?? 5), endOnFailure: true },
  );
}, 120_000);
