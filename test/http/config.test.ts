import { ConfigError, describeSettings, readConfig } from '../../coordinator/config/config';
import { CONTRACT_DEFAULTS } from '../../coordinator/state/defaults';
import { DEFAULT_ACCESS } from '../../coordinator/http/core/access';

function fault(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'no fault';
}

test('an empty environment is the embedded database on the local port 3001', () => {
  const { inForce, ...config } = readConfig({});
  expect(inForce.find(({ name }) => name === 'PORT')).toEqual({
    name: 'PORT',
    value: '3001',
    isSet: false,
    isSecret: false,
  });
  expect(config).toEqual({
    port: 3001,
    host: '127.0.0.1',
    databaseUrl: undefined,
    jobDefaults: CONTRACT_DEFAULTS,
    dataDir: '.baton',
    adminKey: undefined,
    logLevel: 'info',
    maxPayloadBytes: 262_144,
    poolSize: 16,
    monitorIntervalMs: 1000,
    objects: null,
    drainMs: 0,
    tracing: null,
    maxLogLines: 10_000,
    maxSchedules: 1000,
    keepMetricsMs: 90 * 86_400_000,
    keepMs: { completed: 86_400_000, failed: 90 * 86_400_000, cancelled: 86_400_000 },
    webhooks: {
      urlPolicy: { hosts: [], networks: [], isHttpAllowed: false, ports: [443, 80, 8443, 8080] },
      timeoutMs: 15_000,
      disableAfterMs: 5 * 86_400_000,
      keepMs: 7 * 86_400_000,
      mostPerOwner: 50,
    },
    access: { ...DEFAULT_ACCESS, tls: undefined, tlsFiles: null, allowedHosts: ['localhost', '127.0.0.1', '[::1]'] },
  });
});

test('with a database of its own it listens on every address', () => {
  expect(readConfig({ DATABASE_URL: 'postgresql://u:p@db:5432/baton' })).toMatchObject({
    host: '0.0.0.0',
    databaseUrl: 'postgresql://u:p@db:5432/baton',
  });
  expect(readConfig({ DATABASE_URL: 'postgres://db/baton', HOST: '10.0.0.1' }).host).toBe('10.0.0.1');
});

test('what is set but empty is not set', () => {
  expect(readConfig({ PORT: ' ', BATON_POOL_SIZE: '', DATABASE_URL: '' })).toEqual(readConfig({}));
});

test('other programs’ variables are none of its business', () => {
  expect(readConfig({ HOME: '/root', PGHOST: 'x', RUNNER_KEY: 'y' })).toEqual(readConfig({}));
});

test.each<[string, string, RegExp]>([
  ['PORT', 'abc', /0.*65535/],
  ['PORT', '-1', /0/],
  ['PORT', '65536', /65535/],
  ['PORT', '80.5', /whole|int/i],
  ['BATON_POOL_SIZE', '5', /6/],
  ['BATON_POOL_SIZE', '201', /200/],
  ['BATON_POOL_SIZE', 'many', /6.*200/],
  ['BATON_MONITOR_INTERVAL_MS', '49', /50/],
  ['BATON_MONITOR_INTERVAL_MS', '60001', /60000/],
  ['BATON_MAX_PAYLOAD_BYTES', '1023', /1024/],
  ['BATON_MAX_PAYLOAD_BYTES', '1048577', /1048576/],
  ['BATON_MAX_PAYLOAD_BYTES', '1e400', /1048576/],
  ['LOG_LEVEL', 'verbose', /error.*warn.*info.*debug/],
  ['LOG_LEVEL', 'INFO', /info/],
])('%s=%j stops the start with one line that names it, its fault and what is allowed', (name, value, allowed) => {
  const line = fault({ [name]: value });
  expect(line).toMatch(new RegExp(`^${name} `));
  expect(line).toContain(JSON.stringify(value));
  expect(line.slice(name.length)).toMatch(allowed);
  expect(line).not.toContain('\n');
});

test.each<[string, string]>([
  ['DATABASE_URL', 'mysql://root:secret-word@db/baton'],
  ['DATABASE_URL', 'secret-word'],
  ['BATON_ADMIN_KEY', 'secret-word'],
  ['BATON_ADMIN_KEY', `secret-word ${'x'.repeat(30)}`],
  ['BATON_ADMIN_KEY', `secret-word${'x'.repeat(200)}`],
])('%s is named, but its value is not shown', (name, value) => {
  const line = fault({ [name]: value });
  expect(line).toMatch(new RegExp(`^${name} .*(must|at most|200)`));
  expect(line).not.toContain('secret-word');
  expect(line).not.toContain('\n');
});

test.each([
  ['BATON_POOLSIZE', 'BATON_POOL_SIZE'],
  ['BATON_ADMINKEY', 'BATON_ADMIN_KEY'],
  ['BATON_DATADIR', 'BATON_DATA_DIR'],
  ['BATON_MAX_PAYLOAD', 'BATON_MAX_PAYLOAD_BYTES'],
])('the unknown %s gets a suggestion', (name, meant) => {
  expect(fault({ [name]: '1' })).toBe(`${name} is not a setting of Baton. Did you mean ${meant}?`);
});

test('what Kubernetes sets for Services named baton stops nothing, a misspelt setting does', () => {
  const links = {
    BATON_SERVICE_HOST: '10.0.0.1',
    BATON_SERVICE_PORT: '3001',
    BATON_SERVICE_PORT_HTTP: '3001',
    BATON_PORT: 'tcp://10.0.0.1:3001',
    BATON_PORT_3001_TCP: 'tcp://10.0.0.1:3001',
    BATON_PORT_3001_TCP_PROTO: 'tcp',
    BATON_PORT_3001_TCP_PORT: '3001',
    BATON_PORT_3001_TCP_ADDR: '10.0.0.1',
    BATON_COORDINATOR_SERVICE_HOST: '10.0.0.2',
    BATON_COORDINATOR_PORT: 'udp://10.0.0.2:3001',
    BATON_COORDINATOR_PORT_3001_TCP_ADDR: '10.0.0.2',
  };
  expect(readConfig(links)).toEqual(readConfig({}));
  expect(fault({ BATON_PORT: '4000' })).toBe('BATON_PORT is not a setting of Baton. Did you mean PORT?');
});

test.each(['"', "'"])('quotes around a value (%s) are not part of it', (quote) => {
  const inQuotes = (value: string) => `${quote}${value}${quote}`;
  const key = 'k'.repeat(24);
  const url = 'postgresql://u:p@db:5432/baton';
  expect(
    readConfig({
      BATON_ADMIN_KEY: inQuotes(key),
      DATABASE_URL: inQuotes(url),
      PORT: inQuotes('4000'),
      HOST: inQuotes('::1'),
    }),
  ).toMatchObject({ adminKey: key, databaseUrl: url, port: 4000, host: '::1' });
});

test('TLS of DATABASE_URL is completed from the variables of libpq, and nothing else is', () => {
  const url = 'postgresql://u:p@db:5432/baton';
  const env = { PGSSLMODE: 'require', PGOPTIONS: '-c x=y', PGUSER: 'z' };
  expect(readConfig({ ...env, DATABASE_URL: url }).databaseUrl).toBe(`${url}?sslmode=require`);
  expect(readConfig({ ...env, DATABASE_URL: `${url}?sslmode=disable` }).databaseUrl).toBe(`${url}?sslmode=disable`);
  expect(readConfig(env).databaseUrl).toBeUndefined();
  expect(fault({ DATABASE_URL: `${url}?sslmode=yes` })).toMatch(/sslmode=yes, which is none of disable, allow, prefer/);
});

test('every setting has a description, and its default is shown', () => {
  const settings = describeSettings();
  expect(settings.find(({ name }) => name === 'PORT')?.default).toBe('3001');
  expect(settings.filter(({ description }) => description.length < 20)).toEqual([]);
});
