import { ConfigError, readConfig } from '../../coordinator/config/config';
import { describeAddress, readAddress } from '../../coordinator/store/connections/address';
import { explainFault } from '../../coordinator/store/connections/faults';
import { Route } from '../../coordinator/store/connections/route';
import { closeSession, openSession, NotPrimaryError } from '../../coordinator/store/connections/session';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { startTcpProxy } from '../support/tcp-proxy';

// Of an address with several servers, the one that takes writes is used. A failover is in e2e/failover.

const configured = (url: string): string =>
  readConfig({ DATABASE_URL: url, BATON_ADMIN_KEY: 'an-admin-key-of-this-test' }).databaseUrl ?? '';

test.each<[string, string]>([
  ['postgresql://anna:x@one:5432,two:6432/jobs', 'one:5432, two:6432'],
  ['postgres://anna:p%40ss@one,two:6432,[::1]:7432/jobs?sslmode=disable', 'one:5432, two:6432, [::1]:7432'],
  ['postgresql://anna:x@one/jobs?host=two,three&port=6432', 'two:6432, three:6432'],
  ['postgresql://anna:x@one/jobs?host=two,three&port=6432,7432', 'two:6432, three:7432'],
  ['postgresql://anna:x@one:6432/jobs', 'one:6432'],
  ['postgresql://anna:x@one,two/jobs?target_session_attrs=read-write', 'one:5432, two:5432'],
])('%s names %s', (url, servers) => {
  const address = readAddress(url);
  expect(describeAddress(address)).toBe(servers);
  expect([address.user, address.database]).toEqual(['anna', 'jobs']);
  expect(describeAddress(readAddress(configured(url)))).toBe(servers);
});

test('a password stays what it was', () => {
  expect(readAddress('postgresql://anna:a,b@c%3A@one:1,two:2/jobs').password).toBe('a,b@c:');
});

test.each<[string, RegExp]>([
  ['postgresql://anna:x@one,two/jobs?target_session_attrs=standby', /target_session_attrs=standby.*Use read-write/],
  ['postgresql://anna:x@one/jobs?host=a,b,c&port=1,2', /names 3 hosts and 2 ports\. Give one port, or one for each/],
  ['postgresql://anna:x@one:port,two/jobs', /DATABASE_URL.*must be a URL such as/],
  ['one:5432,two:5432/jobs', /DATABASE_URL.*must be a URL such as/],
])('%s is refused', (url, words) => {
  expect(() => configured(url)).toThrow(ConfigError);
  expect(() => configured(url)).toThrow(words);
});

describe('of several servers', () => {
  let database: TestDatabase;
  const options = { applicationName: 'baton-servers-test', statementTimeoutMs: 5000 };
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  test('the one that is there is used, and the other when it is gone or hangs', async () => {
    const target = { host: '127.0.0.1', port: Number(new URL(database.url).port) };
    const proxies = [await startTcpProxy(target), await startTcpProxy(target)] as const;
    const [one, other] = proxies;
    const url = new URL(database.url);
    url.searchParams.set('host', '127.0.0.1,127.0.0.1');
    url.searchParams.set('port', `${one.port},${other.port}`);
    url.port = '';
    const moves: (number | undefined)[] = [];
    const route = new Route(readAddress(url.href), ({ port }) => moves.push(port));
    const connect = async (): Promise<number | undefined> => {
      await closeSession(await openSession(route, options));
      return route.server.port;
    };
    expect(await connect()).toBe(one.port);
    one.cut();
    expect(await connect()).toBe(other.port);
    one.heal();
    // Whoever serves is not left.
    expect(await connect()).toBe(other.port);
    other.goSilent();
    expect(await connect()).toBe(one.port);
    other.cut();
    one.cut();
    await expect(connect()).rejects.toThrow();
    expect(moves).toEqual([other.port, one.port]);
    for (const proxy of proxies) await proxy.stop();
  });
});

test('of two that take writes the one that was promoted last is used, and one of an earlier timeline never again', async () => {
  const address = readAddress('postgresql://anna:x@one,two/jobs');
  const [one, two] = address.servers;
  const route = new Route(address);
  expect(route.accept(1)).toBe(true);
  const found = (...timelines: number[]) =>
    route.choose(() =>
      Promise.resolve(
        address.servers.flatMap((server, nth) => {
          const timeline = timelines[nth] ?? 0;
          return timeline === 0 ? [] : [{ server, timeline }];
        }),
      ),
    );
  await found(1, 2);
  expect(route.server).toBe(two);
  await found(1, 0);
  expect(route.server).toBe(two);
  expect(route.accept(1)).toBe(false);
  await found(3, 2);
  expect(route.server).toBe(one);
  // Both say the same: whoever serves is not left.
  await found(3, 3);
  expect(route.server).toBe(one);
  await found();
  expect(route.server).toBe(one);
});

test('when all are standbys, one line says so', () => {
  const address = readAddress('postgresql://anna:x@one,two/jobs');
  expect(explainFault(new NotPrimaryError('standby'), address)).toMatchObject({
    fault: {
      message: expect.stringMatching(/None of the servers of DATABASE_URL \(one:5432, two:5432\) takes writes/),
    },
    mayPass: true,
  });
});
