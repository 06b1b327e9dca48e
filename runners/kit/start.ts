import {
  ConfigurationError,
  type Handler,
  type JobContext,
  type JobDefinition,
  Runner,
  SnoozeError,
  stderrLogger,
} from '@baton/runner-sdk';
import type { z } from 'zod';
import { Figures, type JobEnd } from './figures';
import { type Health, HealthServer } from './health';
import { hostLabels, type Labels } from './labels';
import { type KitSettings, kitSettings } from './kit-settings';
import { readSettings, SettingsError, type SettingsOf, type SettingsShape } from './settings';
import { Storage } from './storage/storage';
import { WorkFolders } from './work-folders';

export interface RunnerDescription<Shape extends SettingsShape> {
  /** Such as `mail`; prefix of the runner's id and label of its metrics. */
  name: string;
  /** The runner's own settings. */
  settings: Shape;
  /** Prefix of its settings, such as `MAIL_`; other variables with this prefix are refused as misspelt. */
  prefix: string;
  /** Variables with the prefix that are not settings of the shape, such as secrets by name. */
  isOtherSetting?: (name: string) => boolean;
  /** How many jobs run at once if `RUNNER_CONCURRENCY` is not set. */
  concurrency: number;
  /** Registers the handlers. May throw `SettingsError`. */
  prepare: (kit: Kit, settings: SettingsOf<Shape>) => void | Promise<void>;
}

/** The tools for building a runner. */
export interface Kit {
  readonly storage: Storage;
  readonly work: WorkFolders;
  readonly figures: Figures;
  /** Registers a handler; its jobs are counted. */
  handle<Arguments extends z.ZodType, Result extends z.ZodType>(
    definition: JobDefinition<Arguments, Result>,
    handler: Handler<z.output<Arguments>, z.input<Result>>,
  ): void;
  /** Adds labels of the host, for jobs that require them. */
  label(labels: Labels): void;
  log(level: 'info' | 'warn', message: string, fields?: Record<string, unknown>): void;
}

const HEALTH_LINE_MS = 60_000;

/**
 * The main function of a runner: reads the settings, prepares, starts, and stops at SIGTERM. An invalid setting ends
 * the process with one line on stderr and exit code 1.
 */
export function startRunner<Shape extends SettingsShape>(description: RunnerDescription<Shape>): void {
  start(description).catch((error: unknown) => {
    if (!(error instanceof SettingsError || error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
}

async function start<Shape extends SettingsShape>(description: RunnerDescription<Shape>): Promise<void> {
  const { name, settings: shape, prefix, isOtherSetting, prepare } = description;
  const options = { prefix, ...(isOtherSetting && { isOther: isOtherSetting }) };
  const read = readSettings({ ...kitSettings, ...shape }, options) as KitSettings & SettingsOf<Shape>;
  const runner = new Runner({
    name,
    ...(read.RUNNER_CONCURRENCY === undefined && { concurrency: description.concurrency }),
  });
  const work = new WorkFolders(read.RUNNER_WORK_DIR);
  await work.open();
  process.once('exit', () => work.close());
  const figures = new Figures(name);
  let labels: Labels = hostLabels();
  const kit: Kit = {
    ...{ storage: new Storage(read, read.RUNNER_WORK_DIR), work, figures },
    handle: (definition, handler) => {
      runner.handle(definition as JobDefinition, counted(figures, definition.type, handler as Handler));
    },
    label: (more) => {
      labels = { ...labels, ...more };
    },
    log: (level, message, fields) => stderrLogger[level](message, { runner: name, ...fields }),
  };
  await prepare(kit, read);
  // The operator's labels override those that were detected.
  runner.setLabels({ ...labels, ...runner.labels });
  await tellHealth(name, read, runner, figures);
  await runner.start();
}

/** The handler, with its outcomes counted. */
function counted(figures: Figures, type: string, handler: Handler): Handler {
  return async (args, job) => {
    const startedAtMs = performance.now();
    let end: JobEnd = 'failed';
    figures.started(type);
    try {
      const result = await handler(args, job);
      end = job.signal.aborted ? 'aborted' : 'completed';
      return result;
    } catch (error) {
      end = endOf(error, job);
      throw error;
    } finally {
      figures.finished(type, end, performance.now() - startedAtMs);
    }
  };
}

function endOf(error: unknown, { signal }: JobContext): JobEnd {
  if (signal.aborted) return 'aborted';
  return error instanceof SnoozeError ? 'snoozed' : 'failed';
}

async function tellHealth(name: string, settings: KitSettings, runner: Runner, figures: Figures): Promise<void> {
  const health = (): Health => ({
    ...{ status: 'ok', runner: name, running: runner.slots.busy, slots: runner.slots.size },
    ...figures.ended,
    upMs: Math.round(process.uptime() * 1000),
  });
  let toldOf = '';
  setInterval(() => {
    const { running } = health();
    const now = JSON.stringify([running, figures.ended]);
    if (now !== toldOf) stderrLogger.info('health', { ...health() });
    toldOf = now;
  }, HEALTH_LINE_MS).unref();
  if (settings.RUNNER_HEALTH_PORT === undefined) return;
  const server = new HealthServer(figures.registry, health);
  try {
    const port = await server.listen(settings.RUNNER_HEALTH_PORT, settings.RUNNER_HEALTH_HOST);
    stderrLogger.info('health and metrics', { url: `http://${settings.RUNNER_HEALTH_HOST}:${port}` });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`RUNNER_HEALTH_PORT cannot be listened on: ${reason}`);
  }
}
