import { hostname } from 'node:os';
import type { SystemReport } from '@baton/runner-sdk/protocol';
import { readConfig } from '../../coordinator/config/config';
import { expectStatus } from '../support/api';
import { startCluster } from '../support/coordinator';
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
