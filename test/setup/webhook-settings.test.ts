import { mayConnect } from '@baton/url-policy';
import { readConfig } from '../../coordinator/config/config';

const webhooks = (env: Record<string, string>) => readConfig(env).webhooks;

describe('settings of webhooks', () => {
  test('allow hosts, addresses and networks, and nothing of the inside by default', () => {
    expect(mayConnect('x.example', '10.0.0.1', webhooks({}).urlPolicy)).toBe(false);
    const { urlPolicy } = webhooks({ BATON_WEBHOOK_ALLOW: 'Hooks.internal, 10.0.0.0/8,192.168.1.7, fd00::/8' });
    const allowed = ([host, address]: [string, string]) => mayConnect(host, address, urlPolicy);
    expect(
      (
        [
          ['hooks.internal', '172.16.0.1'],
          ['x', '10.9.9.9'],
          ['x', '192.168.1.7'],
          ['x', 'fd00::1'],
        ] as [string, string][]
      ).map(allowed),
    ).toEqual([true, true, true, true]);
    expect(
      (
        [
          ['x.internal', '172.16.0.1'],
          ['x', '192.168.1.8'],
          ['x', 'fc00::1'],
          ['x', '127.0.0.1'],
        ] as [string, string][]
      ).map(allowed),
    ).toEqual([false, false, false, false]);
  });

  test('read schemes, ports and times', () => {
    expect(
      webhooks({
        BATON_WEBHOOK_HTTP: 'true',
        BATON_WEBHOOK_PORTS: '443, 9000',
        BATON_WEBHOOK_TIMEOUT_MS: '500',
        BATON_MAX_WEBHOOKS: '3',
      }),
    ).toMatchObject({ urlPolicy: { isHttpAllowed: true, ports: [443, 9000] }, timeoutMs: 500, mostPerOwner: 3 });
  });

  test.each([
    [
      { BATON_WEBHOOK_ALLOW: '10.0.0.0/99' },
      /^BATON_WEBHOOK_ALLOW is "10.0.0.0\/99", but must be host names, addresses and networks .*"10.0.0.0\/99" is not a network/,
    ],
    [
      { BATON_WEBHOOK_ALLOW: 'https://hooks.internal' },
      /^BATON_WEBHOOK_ALLOW .*"https:\/\/hooks.internal" is not a network/,
    ],
    [{ BATON_WEBHOOK_ALLOW: 'a b' }, /^BATON_WEBHOOK_ALLOW .*neither a host name nor an address/],
    [{ BATON_WEBHOOK_ALLOW: '*' }, /^BATON_WEBHOOK_ALLOW .*neither/],
    [{ BATON_WEBHOOK_HTTP: 'yes' }, /^BATON_WEBHOOK_HTTP .*true.*false/],
    [{ BATON_WEBHOOK_PORTS: '0' }, /^BATON_WEBHOOK_PORTS .*1 to 65535/],
    [{ BATON_WEBHOOK_PORTS: '80-90' }, /^BATON_WEBHOOK_PORTS .*separated by commas/],
    [{ BATON_WEBHOOK_TIMEOUT_MS: '99' }, /^BATON_WEBHOOK_TIMEOUT_MS .*100 to 60000/],
    [{ BATON_WEBHOOK_DISABLE_AFTER_MS: '1' }, /^BATON_WEBHOOK_DISABLE_AFTER_MS/],
    [{ BATON_MAX_WEBHOOKS: '0' }, /^BATON_MAX_WEBHOOKS/],
  ])('%j is refused in one line', (env, message) => {
    expect(() => readConfig(env)).toThrow(message);
    expect(() => readConfig(env)).not.toThrow(/\n/);
  });
});
