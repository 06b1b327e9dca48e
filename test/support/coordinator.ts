import { randomBytes } from 'node:crypto';
import { Agent } from 'undici';
import { type App, createApp } from '../../coordinator/app';
import { type Config, readConfig } from '../../coordinator/config/config';
import { installAdminKey } from '../../coordinator/domain/auth/keys';
import { type Access, DEFAULT_ACCESS } from '../../coordinator/http/core/access';
import type { Tracing } from '../../coordinator/http/core/tracing';
import type { Logger } from '../../coordinator/logger';
import { Api } from './api';
import { Contract } from './contract';
import { createTestDatabase } from './database';
import { eventually } from './eventually';
import { TestSql } from './sql';

export interface Logged {
  level: string;
  message: string;
  meta: unknown;
}

export interface TestCoordinator {
  app: App;
  url: string;
  /** With the admin key. */
  api: Api;
  /** Everything that it logged. */
  logged: Logged[];
  /** Rounds of the timeout monitor, which by itself rests, until it finds no more. */
  runMonitor(): Promise<void>;
  stop(): Promise<void>;
  /** Its answers, held against the OpenAPI document. */
  contract: Contract;
}

/** Coordinators on one database of their own. */
export interface Cluster {
  coordinators: TestCoordinator[];
  sql: TestSql;
  adminKey: string;
  /** Stops all, and fails when one of them left a connection behind, or gave an answer that is not as documented. */
  stop(): Promise<void>;
}

export type Options = Partial<
  Pick<
    Config,
    | 'poolSize'
    | 'maxPayloadBytes'
    | 'monitorIntervalMs'
    | 'keepMs'
    | 'maxLogLines'
    | 'drainMs'
    | 'jobDefaults'
    | 'maxSchedules'
  >
> & {
  /** Where it differs from the default. */
  webhooks?: Partial<Config['webhooks']>;
  objects?: Config['objects'];
  /** Who is let in, where it differs from the default. */
  access?: Partial<Access>;
  tracing?: Tracing;
  /**
   * Whether leases that ran out before the start are left time for a heartbeat; here they are not, unless it is asked
   * for.
   */
  startsCutOff?: boolean;
  /** Where the coordinators find the database, when it is not the test's own address of it. */
  through?: (url: string) => string | Promise<string>;
};

const MONITOR_RESTS_MS = 3_600_000;

export async function startCoordinator(
  options: Options = {},
): Promise<TestCoordinator & Pick<Cluster, 'sql' | 'adminKey'>> {
  const cluster = await startCluster(1, options);
  const [coordinator] = cluster.coordinators;
  if (coordinator === undefined) throw new Error('no coordinator was started');
  return { ...coordinator, sql: cluster.sql, adminKey: cluster.adminKey, stop: () => cluster.stop() };
}

export async function startCluster(count: number, options: Options = {}): Promise<Cluster> {
  const database = await createTestDatabase();
  const sql = new TestSql(database.url);
  const adminKey = `admin-${randomBytes(24).toString('hex')}`;
  const url = (await options.through?.(database.url)) ?? database.url;
  const coordinators: TestCoordinator[] = [];
  for (let index = 0; index < count; index += 1) coordinators.push(await start(url, adminKey, options));
  return {
    coordinators,
    sql,
    adminKey,
    async stop() {
      await Promise.all(coordinators.map((coordinator) => coordinator.stop()));
      await requireNoConnections(sql);
      await sql.end();
      await database.drop();
      for (const { contract } of coordinators) contract.requireKept();
    },
  };
}

async function start(url: string, adminKey: string, options: Options): Promise<TestCoordinator> {
  const logged: Logged[] = [];
  const app = createApp(
    {
      ...readConfig({}),
      port: 0,
      host: '127.0.0.1',
      poolSize: options.poolSize ?? 10,
      maxPayloadBytes: options.maxPayloadBytes ?? 262_144,
      monitorIntervalMs: options.monitorIntervalMs ?? MONITOR_RESTS_MS,
      access: { ...DEFAULT_ACCESS, ...options.access },
      webhooks: { ...readConfig({}).webhooks, ...options.webhooks },
      objects: options.objects ?? null,
      startsCutOff: options.startsCutOff ?? false,
      ...(options.maxSchedules === undefined ? {} : { maxSchedules: options.maxSchedules }),
      ...(options.drainMs === undefined ? {} : { drainMs: options.drainMs }),
      ...(options.maxLogLines === undefined ? {} : { maxLogLines: options.maxLogLines }),
      ...(options.jobDefaults === undefined ? {} : { jobDefaults: options.jobDefaults }),
      ...(options.keepMs === undefined ? {} : { keepMs: options.keepMs }),
    },
    url,
    recorder(logged),
    options.tracing,
  );
  await installAdminKey(app.context.db, 'configured', adminKey);
  const listensAt = `http://127.0.0.1:${await app.start()}`;
  const contract = new Contract();
  contract.watch(app.server);
  const agent = new Agent({ connections: null, keepAliveTimeout: 60_000 });
  return {
    app,
    url: listensAt,
    api: new Api(listensAt, adminKey, agent, contract),
    logged,
    contract,
    async runMonitor() {
      while (await app.loops.monitor.runOnce());
    },
    async stop() {
      await app.stop(1000);
      await agent.destroy();
    },
  };
}

function recorder(logged: Logged[]): Logger {
  const at = (level: string) => (message: unknown, meta?: unknown) =>
    logged.push({ level, message: String(message), meta });
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    isDebugEnabled: () => true,
  } as unknown as Logger;
}

async function requireNoConnections(sql: TestSql): Promise<void> {
  await eventually(
    () => sql.count("pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'baton%'"),
    (count) => count === 0,
  );
}
