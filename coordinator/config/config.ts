import { closest } from 'fastest-levenshtein';
import { maxAttempts, retryPolicy, type SystemReport, timeoutMs } from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { type AccessSettings, accessSettings, readAccess } from './access';
import { readTracing, type TracingSettings, tracingSettings } from './tracing';
import { objectSettings, readObjects } from './objects';
import { readWebhooks, webhookSettings } from './webhooks';
import { CONTRACT_DEFAULTS, type Defaults } from '../state/defaults';
import type { ObjectSettings } from '../domain/objects/settings';
import type { WebhookSettings } from '../domain/webhooks/settings';
import { parseAddress, readAddress } from '../store/connections/address';

const MOST_KEPT_MS = 3650 * 86_400_000;

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

function readRetry(text: string, context: z.RefinementCtx): Defaults['retry'] {
  const read = retryPolicy.safeParse(jsonOf(text));
  if (read.success) return read.data;
  const at = read.error.issues[0]?.path.join('.') ?? '';
  const where = at === '' ? '' : `; its ${at} is not allowed`;
  context.addIssue({
    code: 'custom',
    message: `must be a retry policy as JSON, such as {"strategy":"fixed","baseMs":60000}${where}`,
  });
  return z.NEVER;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Every setting, its default and its description. `docs/configuration.md` is generated from this table. */
const settings = {
  PORT: wholeNumber(0, 65_535).default(3001).describe('The TCP port to listen on; 0 takes a free one.'),
  HOST: z
    .string()
    .min(1)
    .optional()
    .describe('The address to listen on. Default: 127.0.0.1 with the embedded database, else 0.0.0.0.'),
  DATABASE_URL: z
    .string()
    .refine(isAddress, 'must be a URL such as postgresql://user:password@host:5432/database')
    .optional()
    .describe(
      'The PostgreSQL database (14 or later); of several servers, host1:5432,host2:5432, the one that takes writes is found. Default: an embedded PostgreSQL under BATON_DATA_DIR.',
    ),
  BATON_DATA_DIR: z
    .string()
    .min(1)
    .default('.baton')
    .describe('Where the embedded database and its admin key are kept.'),
  BATON_ADMIN_KEY: z
    .string()
    .min(20, 'must have at least 20 characters, such as the output of: openssl rand -base64 30')
    .max(200)
    .regex(/^[\x21-\x7e]+$/, 'must be visible ASCII without spaces')
    .optional()
    .describe(
      'A key of role admin, made at start. Default: with the embedded database one is made and kept in the data directory; else none.',
    ),
  LOG_LEVEL: z
    .enum(['error', 'warn', 'info', 'debug'])
    .default('info')
    .describe('The least severe lines that are logged, as JSON on stdout.'),
  BATON_MAX_PAYLOAD_BYTES: wholeNumber(1024, 1_048_576)
    .default(262_144)
    .describe("The most bytes that one job's arguments, or its result, may take as JSON."),
  BATON_POOL_SIZE: wholeNumber(6, 200)
    .default(16)
    .describe(
      "Database connections: a quarter of them (at most 4) kept for runners' heartbeats and reports, a third (2 to 6) for creates and claims, a fifth for what callers read, the rest for the coordinator's own work; one more listens. Lower it when many coordinators share a small database.",
    ),
  BATON_MONITOR_INTERVAL_MS: wholeNumber(50, 60_000)
    .default(1000)
    .describe(
      'How often the timeout monitor looks for lost leases. Raise it on databases with hundreds of thousands of running jobs.',
    ),
  BATON_DRAIN_MS: wholeNumber(0, 300_000)
    .default(0)
    .describe(
      'How long a coordinator that was told to stop goes on serving, with /readyz at 503, so that load balancers see it and send no more. Longer than the interval of their checks.',
    ),
  ...accessSettings,
  ...tracingSettings,
  BATON_DEFAULT_MAX_ATTEMPTS: wholeNumber(1, maxAttempts.maxValue ?? 1000)
    .default(CONTRACT_DEFAULTS.maxAttempts)
    .describe('The maxAttempts of jobs whose create leaves it out, where their queue sets nothing else.'),
  BATON_DEFAULT_TIMEOUT_MS: wholeNumber(1, timeoutMs.maxValue ?? 604_800_000)
    .default(CONTRACT_DEFAULTS.timeoutMs)
    .describe('The timeoutMs of jobs whose create leaves it out, where their queue sets nothing else.'),
  BATON_DEFAULT_RETRY: z
    .string()
    .transform(readRetry)
    .optional()
    .describe(
      `The retry policy of jobs whose create leaves it out, where their queue sets nothing else, as JSON. Default: \`${JSON.stringify(CONTRACT_DEFAULTS.retry)}\`.`,
    ),
  BATON_MAX_LOG_LINES: wholeNumber(100, 1_000_000)
    .default(10_000)
    .describe('The most log lines that are kept of one job; of one that logs more, lines in the middle are dropped.'),
  BATON_KEEP_COMPLETED_MS: wholeNumber(60_000, MOST_KEPT_MS)
    .default(86_400_000)
    .describe(
      'How long completed jobs are kept, with their attempts and log lines, where their queue sets nothing else.',
    ),
  BATON_KEEP_FAILED_MS: wholeNumber(60_000, MOST_KEPT_MS)
    .default(90 * 86_400_000)
    .describe('How long failed jobs are kept, with their attempts and log lines, where their queue sets nothing else.'),
  BATON_KEEP_CANCELLED_MS: wholeNumber(60_000, MOST_KEPT_MS)
    .default(86_400_000)
    .describe(
      'How long cancelled jobs are kept, with their attempts and log lines, where their queue sets nothing else.',
    ),
  ...webhookSettings,
  ...objectSettings,
  BATON_MAX_SCHEDULES: wholeNumber(1, 100_000)
    .default(1000)
    .describe("The most schedules that one user may have. Of those that are nobody's there may be 100,000."),
  BATON_KEEP_METRICS_MS: wholeNumber(3_600_000, MOST_KEPT_MS)
    .default(90 * 86_400_000)
    .describe(
      'How long the statistics of GET /analytics are kept, by the day; by the hour and by the minute they go back less far.',
    ),
};

const schema = z.object(settings);
type Settings = z.infer<typeof schema>;

export interface Config {
  port: number;
  host: string;
  /** Undefined: the embedded database. */
  databaseUrl: string | undefined;
  dataDir: string;
  adminKey: string | undefined;
  logLevel: Settings['LOG_LEVEL'];
  maxPayloadBytes: number;
  poolSize: number;
  monitorIntervalMs: number;
  /** How long it continues to serve after it was told to stop. */
  drainMs: number;
  access: AccessSettings;
  /** Null: nothing is traced. */
  tracing: TracingSettings | null;
  maxLogLines: number;
  /** Defaults of jobs whose create and queue set nothing else. */
  jobDefaults: Defaults;
  /** How long finished jobs are kept. */
  keepMs: { completed: number; failed: number; cancelled: number };
  webhooks: WebhookSettings;
  /** Where large arguments and results are kept; null: nowhere. */
  objects: ObjectSettings | null;
  /** The most schedules that one user may have. */
  maxSchedules: number;
  keepMetricsMs: number;
  /** All settings by name, without secrets, for the system report. */
  inForce: SystemReport['settings'];
}

/** An invalid setting. The message is one line that names the variable, its fault and what is allowed. */
export class ConfigError extends Error {}

/**
 * Reads the settings from environment variables. Unknown variables that begin with `BATON_` are refused, because a
 * misspelt setting would silently be its default.
 * @throws {ConfigError} on the first fault.
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  refuseUnknown(env);
  const present = Object.fromEntries(
    Object.keys(settings).flatMap((name) => {
      const value = unquoted(Object.hasOwn(env, name) ? env[name] : undefined);
      return value === undefined || value.trim() === '' ? [] : [[name, value]];
    }),
  );
  const parsed = schema.safeParse(present);
  if (!parsed.success) throw new ConfigError(describeFault(parsed.error, present));
  const read = parsed.data;
  const host = read.HOST ?? (read.DATABASE_URL === undefined ? '127.0.0.1' : '0.0.0.0');
  return {
    port: read.PORT,
    host,
    databaseUrl: read.DATABASE_URL === undefined ? undefined : databaseUrl(read.DATABASE_URL, env),
    dataDir: read.BATON_DATA_DIR,
    adminKey: read.BATON_ADMIN_KEY,
    logLevel: read.LOG_LEVEL,
    maxPayloadBytes: read.BATON_MAX_PAYLOAD_BYTES,
    poolSize: read.BATON_POOL_SIZE,
    monitorIntervalMs: read.BATON_MONITOR_INTERVAL_MS,
    drainMs: read.BATON_DRAIN_MS,
    access: accessOf(read, host),
    tracing: readTracing(read),
    maxLogLines: read.BATON_MAX_LOG_LINES,
    jobDefaults: {
      priority: CONTRACT_DEFAULTS.priority,
      maxAttempts: read.BATON_DEFAULT_MAX_ATTEMPTS,
      timeoutMs: read.BATON_DEFAULT_TIMEOUT_MS,
      retry: read.BATON_DEFAULT_RETRY ?? CONTRACT_DEFAULTS.retry,
    },
    keepMs: {
      completed: read.BATON_KEEP_COMPLETED_MS,
      failed: read.BATON_KEEP_FAILED_MS,
      cancelled: read.BATON_KEEP_CANCELLED_MS,
    },
    webhooks: readWebhooks(read),
    objects: objectsOf(read),
    maxSchedules: read.BATON_MAX_SCHEDULES,
    keepMetricsMs: read.BATON_KEEP_METRICS_MS,
    inForce: inForce(read, present),
  };
}

/** Names of settings that are credentials, or URLs, which may contain some. Limits per key are neither. */
const SECRET = /(?<!PER_)KEY|URL|SECRET|ENDPOINT/;

function inForce(read: Settings, present: Record<string, unknown>): SystemReport['settings'] {
  return Object.entries(read).map(([name, value]) => {
    const isSecret = SECRET.test(name);
    const shown = isSecret || value === undefined || value === null ? null : textOf(value);
    return { name, value: shown, isSet: name in present, isSecret };
  });
}

function accessOf(read: Settings, host: string): AccessSettings {
  try {
    return readAccess(read, host);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

function objectsOf(read: Settings): ObjectSettings | null {
  try {
    return readObjects(read);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Name, default, allowed values and description of every setting, in the order of the table; empty where there is none.
 */
export function describeSettings(): { name: string; default: string; allowed: string; description: string }[] {
  return Object.entries(settings).map(([name, setting]) => {
    const fallback = setting.safeParse(undefined);
    return {
      name,
      default: fallback.success && fallback.data !== undefined ? textOf(fallback.data) : '',
      allowed: describeAllowed(z.toJSONSchema(setting, { unrepresentable: 'any' })),
      description: setting.description ?? '',
    };
  });
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function describeAllowed(schema: z.core.JSONSchema.BaseSchema): string {
  if (schema.enum !== undefined) return schema.enum.map(String).join(', ');
  if (schema.minimum !== undefined && schema.maximum !== undefined) return `${schema.minimum} to ${schema.maximum}`;
  if (schema.minLength !== undefined && schema.maxLength !== undefined)
    return `${schema.minLength} to ${schema.maxLength} characters`;
  return '';
}

/** The known name closest to a misspelt one. */
export function suggest(name: string, known: string[]): string {
  return closest(name, known);
}

/** Readers of env files disagree on whether quotes around a value belong to it. Here they never do. */
function unquoted(value: string | undefined): string | undefined {
  const inner = /^\s*(["'])(.*)\1\s*$/s.exec(value ?? '')?.[2];
  return inner === undefined || inner === '' ? value : inner;
}

/**
 * Environment variables that libpq uses when the address does not set them. They do not apply to the embedded database.
 */
const TLS_VARIABLES = {
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
} as const;

/** @throws {ConfigError} for an address that cannot be used */
function isAddress(text: string): boolean {
  try {
    return /^postgres(ql)?:$/.test(parseAddress(text).protocol);
  } catch {
    return false;
  }
}

function databaseUrl(text: string, env: Record<string, string | undefined>): string {
  const url = parseAddress(text);
  const saysHow = url.searchParams.has('sslmode') || url.searchParams.has('ssl');
  for (const [parameter, name] of Object.entries(TLS_VARIABLES)) {
    const value = unquoted(env[name]);
    const isSaid = url.searchParams.has(parameter) || (parameter === 'sslmode' && saysHow);
    if (value !== undefined && value !== '' && !isSaid) url.searchParams.set(parameter, value);
  }
  try {
    readAddress(url.href);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
  return url.href;
}

/**
 * Kubernetes sets these for a Service named `baton` or `baton-…`, and BATON_PORT=tcp://…, which is recognised by its
 * value.
 */
const SERVICE_LINK = /^BATON_(.+_)?(SERVICE_(HOST|PORT)(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

function refuseUnknown(env: Record<string, string | undefined>): void {
  const known = Object.keys(settings);
  for (const [name, value = ''] of Object.entries(env)) {
    if (!name.startsWith('BATON_') || known.includes(name) || value === '') continue;
    if (isServiceLink(name, value)) continue;
    throw new ConfigError(`${name} is not a setting of Baton. Did you mean ${suggest(name, known)}?`);
  }
}

/** `BATON_PORT=4000`, however, is a mistake for `PORT`. */
function isServiceLink(name: string, value: string): boolean {
  return /^(tcp|udp|sctp):\/\//.test(value) || SERVICE_LINK.test(name);
}

/** Describes a fault without the value of a secret. */
function describeFault(error: z.ZodError, env: Record<string, unknown>): string {
  const issue = error.issues[0];
  const name = String(issue?.path[0]);
  const isSecret = /(?<!PER_)KEY|URL|SECRET/.test(name);
  const shown = isSecret ? '' : ` is ${JSON.stringify(Object.hasOwn(env, name) ? env[name] : undefined)}, but`;
  return `${name}${shown} ${fault(issue?.message)}`;
}

function fault(message = 'is not valid'): string {
  return message.startsWith('must') ? message : `is not valid: ${message}`;
}
