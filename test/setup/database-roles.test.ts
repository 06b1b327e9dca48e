import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { rollUp } from '../../coordinator/domain/analytics/roll-up';
import { readHorizon } from '../../coordinator/store/rollups/count';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { jobIn } from '../support/factory';

const PAGE = readFileSync(join(__dirname, '..', '..', 'docs', 'database-roles.md'), 'utf8');
const app = `app_${randomBytes(4).toString('hex')}`;
const password = randomBytes(12).toString('hex');

/** The SQL of the page, for this test's database and role. */
const grants = [...PAGE.matchAll(/```sql\n(.*?)```/gs)].map(([, text = '']) => text).join('\n');

async function asOwner(url: string, run: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await run(client);
  await client.end();
}

/** Migrated as the owner; the address of the application's role. */
async function roleUrl(url: string): Promise<string> {
  const { pathname } = new URL(url);
  await asOwner(url, async (client) => {
    await client.query(
      grants
        .replaceAll('baton_app', app)
        .replaceAll('DATABASE baton', `DATABASE ${pathname.slice(1)}`)
        .replaceAll("'choose-one'", `'${password}'`),
    );
  });
  return asRole(url);
}

function asRole(url: string): string {
  const own = new URL(url);
  own.username = app;
  own.password = password;
  return own.href;
}

test('the whole life of a job runs under a role that owns nothing and makes nothing', async () => {
  let owner = '';
  const coordinator = await startCoordinator({ through: (url) => roleUrl((owner = url)) });
  try {
    const bound = new Client({ connectionString: asRole(owner), options: '-c search_path=baton' });
    await bound.connect();
    const refused = [
      'CREATE TABLE mine (a int)',
      'DROP TABLE jobs',
      'TRUNCATE jobs',
      'ALTER TABLE audit_log ADD COLUMN a int',
      'SELECT * FROM pg_authid',
      'UPDATE audit_log SET action = action',
      'DELETE FROM audit_log',
      'CREATE SCHEMA mine',
      'UPDATE _prisma_migrations SET logs = logs',
    ];
    for (const statement of refused) await expect(bound.query(statement)).rejects.toMatchObject({ code: '42501' });
    await bound.end();
    for (const state of ['pending', 'running', 'completed', 'failed', 'cancelled', 'retrying', 'released'] as const)
      await jobIn(state, coordinator);
    const { api } = coordinator;
    for (const path of [
      '/readyz',
      '/health',
      '/stats',
      '/analytics',
      '/jobs',
      '/queues',
      '/runners',
      '/api-keys',
      '/audit',
      '/rate-limits?userId=ann',
    ])
      expect([path, (await api.get(path)).status]).toEqual([path, 200]);
    expect(
      (await api.call('put', '/queues/q', { json: { concurrency: 2, userRateLimit: { max: 5, perMs: 1000 } } })).status,
    ).toBe(200);
    await api.create({ type: 'a', queue: 'q', userId: 'ann', uniqueKey: 'u', orderKey: 'o' });
    expect(await api.claim({ runnerId: 'r', types: ['a'] })).toHaveLength(1);
    const key = await api.post<{ id: string; key: string }>('/api-keys', { name: 'k', role: 'viewer' });
    expect((await api.as(null).post('/session', { apiKey: key.body.key })).status).toBe(201);
    expect((await api.delete(`/api-keys/${key.body.id}`)).status).toBe(200);
    expect((await api.post('/jobs/cancel', { all: true, background: true })).status).toBe(202);
    await coordinator.app.loops.bulk.runOnce();
    await coordinator.runMonitor();
    for (let round = 0; round < 3; round += 1) await coordinator.app.loops.rollups.runOnce();
    expect(await rollUp(coordinator.app.context, (await readHorizon(coordinator.app.context.db)).at)).toBe(false);
    const { items } = (await api.get<{ items: { id: string }[] }>('/jobs?status=cancelled')).body;
    expect((await api.delete(`/jobs/${items[0]?.id}?purge=true`)).status).toBe(204);
    expect(
      coordinator.logged.filter(
        ({ level, message }) => level === 'error' || (level === 'warn' && message !== 'job.failed'),
      ),
    ).toEqual([]);
    // It is read, and not written: then it is not ready.
    await asOwner(owner, async (client) => void (await client.query(`REVOKE UPDATE ON baton.attempts FROM ${app}`)));
    const seen = await eventually(
      () => api.get('/readyz'),
      ({ status }) => status !== 200,
    );
    expect(seen).toMatchObject({
      status: 503,
      body: { reasons: ["the database's role may not write"] },
    });
  } finally {
    await asOwner(owner, async (client) => void (await client.query(`DROP OWNED BY ${app}; DROP ROLE ${app}`)));
    await coordinator.stop();
  }
});
