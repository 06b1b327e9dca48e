import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findDebian } from '../../../scripts/debian';
import { ADMIN_KEY, Coordinator, type Line, Program, ROOT } from '../../e2e/support/processes';
import { createTestDatabase, type TestDatabase } from '../../support/database';
import { eventually } from '../../support/eventually';
import { describeWith } from '../support/needs';
import { freePort } from '../support/port';
import { Service } from '../support/service';
import { MONITORING, Prometheus, readRules } from './setup';

/** Series that a healthy system has not. */
const KNOWN_EMPTY: Record<string, string> = {
  'baton_http_request_seconds_count{status=~"5.."}': 'no call of a healthy coordinator ends with 5xx',
};
/** Alerts that this test's own life must fire. */
const MAY_FIRE = ['BatonKeysRefused', 'BatonCallsLimited', 'BatonJobsFail', 'BatonGateWaits'];
const LOAD_EVERY_MS = 300;
const DEADLINE_MS = 90_000;

const programs = {
  prometheus: findDebian('prometheus'),
  'postgres_exporter (prometheus-postgres-exporter)': findDebian('prometheus-postgres-exporter'),
};

describeWith('a real Prometheus that scrapes a coordinator under load', programs, (found) => {
  const log: Line[] = [];
  let database: TestDatabase;
  let coordinator: Coordinator;
  let runner: Program;
  let exporter: Service;
  let prometheus: Prometheus;
  let load: NodeJS.Timeout;

  beforeAll(async () => {
    database = await createTestDatabase();
    coordinator = await new Coordinator({ name: 'coordinator', database: { url: database.url } }, log).listens();
    const [runnerPort, exporterPort] = [await freePort(), await freePort()];
    runner = new Program('runner', [join(ROOT, 'runners', 'http', 'dist', 'index.js')], {
      log,
      env: {
        COORDINATOR_URL: coordinator.url,
        RUNNER_KEY: ADMIN_KEY,
        RUNNER_HEALTH_PORT: String(runnerPort),
        HTTP_REQUEST_ALLOW: '127.0.0.1',
      },
    });
    exporter = await new Service(
      found['postgres_exporter (prometheus-postgres-exporter)'],
      [
        '--disable-default-metrics',
        '--disable-settings-metrics',
        `--extend.query-path=${join(MONITORING, 'postgres-queries.yml')}`,
        `--web.listen-address=127.0.0.1:${exporterPort}`,
      ],
      { DATA_SOURCE_NAME: withoutTls(database.url) },
    ).listens(exporterPort);
    prometheus = await Prometheus.start(found.prometheus, {
      baton: coordinator.port,
      'baton-runners': runnerPort,
      'baton-postgres': exporterPort,
    });
    await prepare();
    await live();
    load = setInterval(() => void live().catch(() => undefined), LOAD_EVERY_MS);
  });

  afterAll(async () => {
    clearInterval(load);
    await Promise.all([prometheus.stop(), exporter.stop(), runner.kill()]);
    await coordinator.kill();
    await database.drop();
  });

  it('has data for every expression of every dashboard', async () => {
    const expressions = readdirSync(join(MONITORING, 'dashboards')).flatMap((file) => {
      const { panels } = JSON.parse(readFileSync(join(MONITORING, 'dashboards', file), 'utf8')) as {
        panels: { title: string; targets?: { expr: string }[] }[];
      };
      return panels.flatMap(({ title, targets = [] }) =>
        targets.map(({ expr }) => ({ where: `${file}: ${title}`, expr })),
      );
    });
    expect(expressions.length).toBeGreaterThan(40);
    await eventually(
      () => emptyOnes(expressions),
      (empty) => empty.length === 0,
      DEADLINE_MS,
    );
  });

  it('has data for every series that a rule reads, and evaluates every rule', async () => {
    const series = new Set(readRules().flatMap(({ expr }) => seriesOf(expr)));
    const read = [...series].filter((one) => !(one in KNOWN_EMPTY)).map((expr) => ({ where: 'rules', expr }));
    expect(read.length).toBeGreaterThan(20);
    await eventually(
      () => emptyOnes(read),
      (empty) => empty.length === 0,
      DEADLINE_MS,
    );
    for (const { expr } of readRules()) await prometheus.query(expr);
    for (const known of Object.keys(KNOWN_EMPTY)) expect(series).toContain(known);
  });

  it('alerts of nothing else than of what goes on', async () => {
    const firing = await prometheus.query('ALERTS{alertstate="firing"}');
    const names = firing.map(({ metric }) => metric['alertname'] ?? '');
    expect(names.filter((name) => !MAY_FIRE.includes(name))).toEqual([]);
  });

  /** The expressions that give nothing yet. */
  async function emptyOnes(expressions: { where: string; expr: string }[]): Promise<string[]> {
    const empty = await Promise.all(
      expressions.map(async ({ where, expr }) => {
        const samples = await prometheus.query(filled(expr));
        const hasNumber = samples.some(({ value }) => value[1] !== 'NaN');
        return hasNumber ? [] : [`${where}: ${expr}`];
      }),
    );
    return empty.flat();
  }

  async function call(method: string, path: string, body?: unknown, key = ADMIN_KEY): Promise<void> {
    const answer = await fetch(coordinator.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    await answer.arrayBuffer();
  }

  async function prepare(): Promise<void> {
    await call('PUT', '/queues/limited', { userRateLimit: { max: 1, perMs: 3_600_000 } });
    await call('PUT', '/schedules', { name: 'often', everyMs: 1000, job: { type: 'http-request', arguments: good() } });
    await call('POST', '/workflows', {
      name: 'waits',
      jobs: { first: { type: 'http-request', arguments: good() }, approve: { gate: {}, dependsOn: ['first'] } },
    });
  }

  /** One round of what callers do. */
  async function live(): Promise<void> {
    await call('POST', '/jobs', { type: 'http-request', queue: 'calls', arguments: good() });
    await call('POST', '/jobs', {
      type: 'http-request',
      queue: 'calls',
      arguments: { url: `${coordinator.url}/nowhere` },
      maxAttempts: 1,
    });
    await call('POST', '/jobs', { type: 'nobody-takes-it', queue: 'limited', userId: 'ann' });
    await call('PUT', '/queues/calls', {});
    await call('POST', '/session', { apiKey: ADMIN_KEY });
    await call('GET', '/stats', undefined, 'not-a-key-of-this-coordinator');
  }

  function good(): { url: string } {
    return { url: `${coordinator.url}/healthz` };
  }
});

/** With values for the variables of Grafana. */
function filled(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '10s')
    .replaceAll('[1h]', '[10s]')
    .replaceAll(/\$(queue|instance|runner)/g, '.*');
}

/** The names of series, with their selectors, that an expression reads. */
function seriesOf(expr: string): string[] {
  return expr.match(/\b(?:baton[a-z_:]*|process_[a-z_]+|nodejs_[a-z0-9_]+|up)\b(?:\{[^}]*\})?/g) ?? [];
}

function withoutTls(url: string): string {
  const address = new URL(url);
  address.searchParams.set('sslmode', 'disable');
  return address.href;
}
