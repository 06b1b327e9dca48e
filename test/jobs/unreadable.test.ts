import type { Job } from '@baton/runner-sdk/protocol';
import { toJson } from '../../coordinator/http/core/json';
import { isReadable } from '../../coordinator/domain/jobs/unreadable';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const PLANTED: [string, string][] = [
  ['lists nested 5,000 deep', `{"list":${nested(5000)}}`],
  ['objects nested 5,000 deep', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`],
  ['a number beyond all numbers', '{"n": 1e131071}'],
  ['NUL', '{"text": "a\\u0000b"}'],
  ['a key with NUL', '{"a\\u0000b": 1}'],
];

describe.each(['arguments', 'metadata', 'checkpoint'])('a job whose %s cannot be read', (column) => {
  test.each(PLANTED)(
    '(%s) is set aside, and what is behind it goes on with the claim that met it',
    async (_name, json) => {
      const type = uniqueType();
      const bad = await coordinator.api.create({ type });
      const behind = await coordinator.api.create({ type });
      await coordinator.sql.query(`UPDATE jobs SET ${column} = $1::text::json WHERE id = $2`, [json, bad.id]);
      const claimed = await coordinator.api.claim({ runnerId: 'r', types: [type], waitMs: 5000 });
      expect(claimed.map(({ id }) => id)).toEqual([behind.id]);
      const aside = await eventually(
        () =>
          coordinator.sql.one<{ status: string; error: { code: string } }>(
            'SELECT status, error FROM jobs WHERE id = $1',
            [bad.id],
          ),
        ({ status }) => status === 'failed',
      );
      expect(aside.error.code).toBe('unreadable');
      expect((await coordinator.api.get(`/jobs/${bad.id}`)).status).toBe(200);
      const list = expectStatus(await coordinator.api.get<{ items: Job[] }>(`/jobs?type=${type}`), 200).items;
      expect(list.map(({ id }) => id).sort()).toEqual([bad.id, behind.id].sort());
      expect((await coordinator.api.get(`/jobs/${bad.id}/attempts`)).status).toBe(200);
    },
  );
});

test('a head full of them does not cost a claim that waits its jobs', async () => {
  const type = uniqueType();
  const bad = await Promise.all(Array.from({ length: 30 }, () => coordinator.api.create({ type })));
  await coordinator.sql.query('UPDATE jobs SET arguments = \'{"n": 1e131071}\' WHERE type = $1', [type]);
  const behind = await coordinator.api.create({ type });
  expect((await coordinator.api.claim({ runnerId: 'r', types: [type], max: 5 })).map(({ id }) => id)).toEqual([
    behind.id,
  ]);
  expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'failed'", [type])).toBe(bad.length);
});

test('all that the payload gate lets in is readable', () => {
  expect(isReadable(JSON.parse(nested(64)))).toBe(true);
  expect(isReadable({ a: [1e21, -0, null, true, 'text', { b: '' }] })).toBe(true);
  expect(isReadable(null)).toBe(true);
});

test('a reply that is nested too deep for JSON.stringify is cut, and the rest told', () => {
  const deep = JSON.parse(nested(100_000)) as unknown;
  expect(() => JSON.stringify(deep)).toThrow(RangeError);
  const told = JSON.parse(toJson({ items: [{ id: 1, arguments: deep }, { id: 2 }] })) as { items: { id: number }[] };
  expect(told.items.map(({ id }) => id)).toEqual([1, 2]);
});
