import { PrismaPg } from '@prisma/adapter-pg';
import { BatonError, defineJob } from '@baton/runner-sdk';
import { enqueue, type PrismaRunner, type SqlRunner } from '@baton/runner-sdk/enqueue';
import { Pool } from 'pg';
import { z } from 'zod';
import { PrismaClient } from '../../coordinator/generated/prisma/client';
import { migrate } from '../../coordinator/store/migrate';
import { createTestDatabase, type TestDatabase } from '../support/database';

// The SDK's `enqueue`, with the libraries that run the application's transactions.

let database: TestDatabase;
let pool: Pool;
let prisma: PrismaClient;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = new Pool({ connectionString: database.url });
  prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.url }) });
  await pool.query('CREATE TABLE public.orders (id serial PRIMARY KEY, item text NOT NULL)');
});
afterAll(async () => {
  await prisma.$disconnect();
  await pool.end();
  await database.drop();
});
beforeEach(() => pool.query('TRUNCATE public.orders'));

const confirmOrder = defineJob({
  type: 'confirm-order',
  arguments: z.object({ item: z.string() }),
  queue: 'orders',
  tags: ['order'],
  maxAttempts: 3,
});

interface Transaction {
  on: SqlRunner | PrismaRunner;
  order(item: string): Promise<unknown>;
}

class Undone extends Error {}

const WAYS: [string, (body: (transaction: Transaction) => Promise<void>) => Promise<void>][] = [
  [
    'pg',
    async (body) => {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        await body({
          on: client,
          order: (item) => client.query('INSERT INTO public.orders (item) VALUES ($1)', [item]),
        });
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    },
  ],
  [
    'Prisma',
    (body) =>
      prisma.$transaction((tx) =>
        body({ on: tx, order: (item) => tx.$executeRaw`INSERT INTO public.orders (item) VALUES (${item})` }),
      ),
  ],
];

const stored = async () => {
  const { rows } = await pool.query<Record<string, unknown>>(
    `SELECT o.item, j.arguments, j.queue, j.tags, j.max_attempts AS "maxAttempts", j.priority
     FROM public.orders o FULL JOIN baton.jobs j ON j.arguments ->> 'item' = o.item WHERE j.id IS NULL OR j.type = 'confirm-order'`,
  );
  return rows;
};

describe.each(WAYS)('with %s', (_name, inTransaction) => {
  beforeEach(() => pool.query('DELETE FROM baton.jobs'));

  test('the job and the row that it is about are there together', async () => {
    await inTransaction(async ({ on, order }) => {
      await order('tea');
      const { status, outcome } = await enqueue(
        on,
        confirmOrder,
        { item: 'tea' },
        { priority: 'high', tags: undefined },
      );
      expect([status, outcome]).toEqual(['pending', 'created']);
    });
    expect(await stored()).toEqual([
      { item: 'tea', arguments: { item: 'tea' }, queue: 'orders', tags: ['order'], maxAttempts: 3, priority: 10 },
    ]);
  });

  test('or neither is', async () => {
    const undone = inTransaction(async ({ on, order }) => {
      await order('tea');
      await enqueue(on, confirmOrder, { item: 'tea' });
      throw new Undone();
    });
    await expect(undone).rejects.toThrow(Undone);
    expect(await stored()).toEqual([]);
  });

  test('a refusal is the error that POST /jobs answers with, and undoes the rest', async () => {
    await pool.query("INSERT INTO baton.queues (name, max_waiting) VALUES ('orders', 1) ON CONFLICT DO NOTHING");
    const refused = inTransaction(async ({ on, order }) => {
      await order('tea');
      await enqueue(on, confirmOrder, { item: 'tea' });
      await enqueue(on, confirmOrder, { item: 'more tea' });
    });
    const error = await refused.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BatonError);
    expect(error).toMatchObject({ code: 'queue_full', status: 429, detail: expect.stringContaining('orders is full') });
    expect(await stored()).toEqual([]);
    await pool.query("DELETE FROM baton.queues WHERE name = 'orders'");
  });

  test('a refusal names the field', async () => {
    const refused = inTransaction(async ({ on }) => void (await enqueue(on, 'a type', {})));
    await expect(refused).rejects.toMatchObject({
      code: 'validation_failed',
      status: 400,
      detail: expect.stringMatching(/^type must/),
    });
  });

  test('the same idempotency key brings the first job', async () => {
    const ids: string[] = [];
    for (let nth = 0; nth < 2; nth += 1)
      await inTransaction(async ({ on }) => {
        ids.push((await enqueue(on, confirmOrder, { item: 'tea' }, { idempotencyKey: 'order-1' })).id);
      });
    expect(ids[1]).toBe(ids[0]);
    expect(await stored()).toHaveLength(1);
  });

  test('errors of the database itself stay what they are', async () => {
    const broken = inTransaction(async ({ on }) => void (await enqueue(on, 't', {}, { schema: 'no"where' })));
    const error = await broken.catch((reason: unknown) => reason);
    expect(error).not.toBeInstanceOf(BatonError);
    expect(String(error)).toMatch(/no"where/);
  });
});

test('arguments that do not fit, or cannot travel, are refused before anything is sent', async () => {
  const on: SqlRunner = { query: () => Promise.reject(new Error('was sent')) };
  // @ts-expect-error the definition knows its arguments
  await expect(enqueue(on, confirmOrder, { item: 5 })).rejects.toMatchObject({ code: 'invalid_arguments' });
  // @ts-expect-error and that they cannot be left out
  await expect(enqueue(on, confirmOrder)).rejects.toMatchObject({ code: 'invalid_arguments' });
  await expect(enqueue(on, 't', 1n)).rejects.toMatchObject({ code: 'invalid_arguments' });
  // @ts-expect-error options that the function refuses are none of its options
  await expect(enqueue(on, 't', {}, { callbackUrl: 'https://example.com' })).rejects.toThrow('was sent');
});

test('libraries whose query returns the rows themselves, and other schemas', async () => {
  await migrate(`${database.url}&schema=Other%20Jobs`, { log: { info: () => undefined, warn: () => undefined } });
  const on: SqlRunner = { query: async (text, values) => (await pool.query(text, values)).rows as unknown[] };
  const { id } = await enqueue(on, 't', undefined, { schema: 'Other Jobs' });
  expect((await pool.query('SELECT id::text FROM "Other Jobs".jobs')).rows).toEqual([{ id }]);
});
