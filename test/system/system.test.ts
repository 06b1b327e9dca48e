import { hostname } from 'node:os';
import type { SystemReport } from '@baton/runner-sdk/protocol';
import { readConfig } from '../../coordinator/config/config';
import { expectStatus } from '../support/api';
import { startCluster, startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

test('tells which coordinators are connected, the migrations, and the settings in force', async () => {
  const cluster = await startCluster(2);
  try {
    const read = async () => {
      const [answer] = await Promise.all(cluster.coordinators.map(({ api }) => api.get<SystemReport>('/system')));
      if (answer === undefined) throw new Error('no coordinator was started');
      return expectStatus(answer, 200);
    };
    const { coordinators } = await eventually(read, (report) => report.coordinators.length === 2);
    for (const coordinator of coordinators) {
      expect(coordinator).toMatchObject({ host: hostname().slice(0, 40), version: '0.1.0' });
      expect(Date.parse(coordinator.connectedAt)).toBeLessThanOrEqual(Date.now() + 60_000);
    }
    const { migrations, settings } = await read();
    expect(migrations[0]?.name).toBe('0001_baton');
    const { database } = await read();
    expect(database).toMatchObject({ pendingMigrations: [], version: expect.stringMatching(/^\d+/) });
    expect(database.connections.own).toBeGreaterThan(0);
    expect(database.connections.used).toBeLessThanOrEqual(database.connections.max);
    expect(Math.abs(Date.parse(database.at) - Date.parse(database.coordinatorAt))).toBeLessThan(60_000);
    expect(database.settings).toContainEqual({ name: 'fsync', value: expect.any(String) });
    expect(database.tables.map(({ name }) => name)).toContain('jobs');
    expect(settings.find(({ name }) => name === 'BATON_MAX_LOG_LINES')).toEqual({
      name: 'BATON_MAX_LOG_LINES',
      value: '10000',
      isSet: false,
      isSecret: false,
    });
  } finally {
    await cluster.stop();
  }
});

test('tells which snapshot is the oldest, and which rows it keeps', async () => {
  const coordinator = await startCoordinator();
  const held = await coordinator.sql.session();
  try {
    const read = async () => expectStatus(await coordinator.api.get<SystemReport>('/system'), 200).database;
    await held.query({ text: 'BEGIN ISOLATION LEVEL REPEATABLE READ' });
    await held.query({ text: 'SELECT count(*) FROM baton.jobs' });
    const { oldestSnapshot } = await eventually(
      read,
      (report) => report.oldestSnapshot?.name.includes('test-session') === true,
    );
    expect(oldestSnapshot).toMatchObject({
      holder: 'session',
      ageMs: expect.any(Number),
      transactions: expect.any(Number),
    });
    await coordinator.sql.query('CREATE TABLE baton.dying AS SELECT n FROM generate_series(1, 20000) n');
    await coordinator.sql.query('DELETE FROM baton.dying');
    const { tables } = await eventually(read, (report) => report.tables.some(({ deadRows }) => deadRows === 20_000));
    expect(tables.find(({ name }) => name === 'dying')).toMatchObject({ deadRows: 20_000, liveRows: 0 });
  } finally {
    await held.end();
    await coordinator.stop();
  }
});

test('what may hold credentials is not told', () => {
  const secrets = {
    BATON_ADMIN_KEY: 'an-admin-key-of-thirty-letters',
    DATABASE_URL: 'postgresql://baton:word@db/baton',
    BATON_JWT_SECRET: 'a-secret-of-more-than-thirty-two-characters',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://name:word@collector:4318',
  };
  const { inForce } = readConfig({ ...secrets, BATON_JWT_ISSUER: 'i', BATON_JWT_AUDIENCE: 'a', BATON_POOL_SIZE: '20' });
  for (const name of Object.keys(secrets))
    expect(inForce.find((one) => one.name === name)).toEqual({ name, value: null, isSet: true, isSecret: true });
  expect(inForce.find(({ name }) => name === 'BATON_POOL_SIZE')).toMatchObject({ value: '20', isSet: true });
  expect(inForce.find(({ name }) => name === 'BATON_MAX_SOCKETS_PER_KEY')).toMatchObject({ isSecret: false });
});
