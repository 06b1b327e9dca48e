import { readConfig } from '../../coordinator/config/config';

const access = (env: Record<string, string>) => readConfig(env).access;
const TOKENS = {
  BATON_JWT_SECRET: 's'.repeat(32),
  BATON_JWT_ISSUER: 'https://issuer.example',
  BATON_JWT_AUDIENCE: 'baton',
};

describe('settings of access', () => {
  test('answer for loopback names alone on a loopback address, and for any elsewhere', () => {
    expect(access({}).allowedHosts).toEqual(['localhost', '127.0.0.1', '[::1]']);
    expect(access({ HOST: '::1' }).allowedHosts).toEqual(['localhost', '127.0.0.1', '[::1]']);
    expect(access({ HOST: '0.0.0.0' }).allowedHosts).toBeNull();
    expect(access({ HOST: '0.0.0.0', BATON_ALLOWED_HOSTS: 'Baton.example.com, [::1]' }).allowedHosts).toEqual([
      'baton.example.com',
      '[::1]',
    ]);
  });

  test('read proxies as hops or networks', () => {
    expect(access({}).trustProxy).toBe(0);
    expect(access({ BATON_TRUST_PROXY: '2' }).trustProxy).toBe(2);
    expect(access({ BATON_TRUST_PROXY: 'loopback, 10.0.0.0/8' }).trustProxy).toEqual(['loopback', '10.0.0.0/8']);
  });

  test('read where tokens come from', () => {
    expect(access({}).tokens).toBeNull();
    expect(access(TOKENS).tokens).toEqual({
      source: { secret: TOKENS.BATON_JWT_SECRET },
      issuer: 'https://issuer.example',
      audience: 'baton',
      roleClaim: 'baton_role',
    });
  });

  test.each([
    [{ ...TOKENS, BATON_JWT_SECRET: 's'.repeat(31) }, /^BATON_JWT_SECRET must have at least 32 bytes/],
    [{ ...TOKENS, BATON_JWKS_URL: 'https://issuer.example/keys' }, /are both set/],
    [{ ...TOKENS, BATON_JWT_ISSUER: '' }, /^BATON_JWT_ISSUER must be set/],
    [{ ...TOKENS, BATON_JWT_AUDIENCE: '' }, /^BATON_JWT_AUDIENCE must be set/],
    [{ ...TOKENS, BATON_JWT_SECRET: '' }, /neither BATON_JWT_SECRET nor BATON_JWKS_URL/],
    [{ BATON_JWKS_URL: 'ftp://issuer.example' }, /^BATON_JWKS_URL must be a URL/],
    [{ BATON_TLS_CERT_FILE: 'cert.pem' }, /BATON_TLS_KEY_FILE is not/],
    [{ BATON_TLS_KEY_FILE: 'key.pem' }, /BATON_TLS_CERT_FILE is not/],
    [{ BATON_ALLOWED_HOSTS: 'a.example:80' }, /^BATON_ALLOWED_HOSTS .* must be host names/],
    [{ BATON_CORS_ORIGINS: '*' }, /^BATON_CORS_ORIGINS .* must be origins/],
    [{ BATON_TRUST_PROXY: 'true' }, /^BATON_TRUST_PROXY .* must be a number of hops/],
    [{ BATON_MAX_PARKED_POLLS: '0' }, /^BATON_MAX_PARKED_POLLS/],
  ])('%j is refused in one line', (env, message) => {
    expect(() => readConfig(env)).toThrow(message);
    expect(() => readConfig(env)).not.toThrow(/s{20}|\n/);
  });
});
