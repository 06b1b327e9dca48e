import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, ConfigError, readConfig } from '@baton/coordinator/dist/config/config';
import { BatonError, Client, ConfigurationError } from '@baton/runner-sdk';
import type { SessionLink } from '@baton/runner-sdk/protocol';
import { followJobs, submitQuotes, summary } from './start/demo';
import { listenForTheEnd } from './start/ending';
import { SupervisedProcess } from './start/supervised-process';
import { type Flags, readFlags, USAGE } from './start/flags';
import { followNightly, scheduleQuotes } from './start/nightly';
import { type AdminKey, ensureRunnerKey, findAdminKey, quoted, shortest } from './start/keys';
import { assertPortIsFree, StartError, urlOf } from './start/port';
import { Screen } from './start/screen';
import { makeShowcase } from './start/showcase';
import { runnersOf } from './start/ready-made';
import { watchSources } from './start/sources';

const ROOT = join(__dirname, '..', '..');
const READY_POLL_MS = 50;
/** As long as the longest name, `repositories runner`. */
const STEP_WIDTH = 19;
const LINK_LIFE_MS = 3_600_000;
const screen = new Screen();

/** `npm start`: starts the coordinator and the runners, each in its own process, and submits the first jobs. */
async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2));
  if (flags.help) return console.log(USAGE);
  const env = { ...process.env, ...(flags.port === undefined ? {} : { PORT: flags.port }) };
  const read = readConfig(env);
  const config = { ...read, dataDir: resolve(read.dataDir) };
  if (config.databaseUrl !== undefined && config.adminKey === undefined)
    throw new StartError('With DATABASE_URL, set BATON_ADMIN_KEY too: the key that this start shall use.');
  runnersOf(ROOT, flags.runners);
  await assertPortIsFree(config);
  mkdirSync(config.dataDir, { recursive: true });
  const processes: SupervisedProcess[] = [];
  const stopping = listenForTheEnd(() => processes.forEach((supervised) => supervised.endNow()));
  try {
    await run(config, { flags, env }, processes, stopping);
    if (!stopping.aborted) await once(stopping, 'abort');
    screen.settle(['', 'Draining …']);
  } finally {
    for (const supervised of processes) await supervised.stop();
  }
  screen.line('Stopped. The data stay.');
}

async function run(
  config: Config,
  { flags, env }: { flags: Flags; env: NodeJS.ProcessEnv },
  processes: SupervisedProcess[],
  stopping: AbortSignal,
): Promise<void> {
  screen.line(
    `${screen.bold('Baton')} ${screen.dim('hands work to runners on any host, over plain HTTP, and never drops it.')}\n`,
  );
  const url = urlOf(config);
  const coordinator = supervise('coordinator', 'coordinator', { ...env, BATON_DATA_DIR: config.dataDir }, config);
  processes.push(coordinator);
  if (!(await isReady(url, coordinator, stopping))) return;
  coordinator.supervise();
  step('coordinator', url);

  const admin = findAdminKey(config.dataDir, config.adminKey);
  if (admin === undefined)
    throw new StartError(`The coordinator runs, but there is no admin key in ${config.dataDir}.`);
  const client = new Client({ coordinatorUrl: url, apiKey: admin.key, proxy: false });
  const runnerKey = await ensureRunnerKey(client, config.dataDir);
  const runner = supervise('quotes runner', join('runners', 'quotes'), runnerEnv(url, runnerKey, config), config);
  runner.supervise();
  // The runner stops before the coordinator.
  processes.unshift(runner);
  step('quotes runner', 'a process of its own, which speaks only HTTP');
  if (flags.watch) watch(coordinator, runner, stopping);
  for (const name of runnersOf(ROOT, flags.runners))
    await startRunner(name, { url, runnerKey, config }, processes, stopping);

  if (flags.nightly) await showNightly(client, stopping);
  else await showQuotes(client, flags.again, stopping);
  if (!stopping.aborted) {
    screen.line();
    step(
      'beside',
      'a batch, a workflow whose gate waits for you, a schedule, an alert, and a job that fails on purpose',
    );
    await makeShowcase(client);
  }
  if (!stopping.aborted) showWhatNext(url, { admin, config, link: await linkTo(url, admin.key) });
  await client.close();
}

/** One that lacks a tool or a setting says so, and the others run without it. */
async function startRunner(
  name: string,
  { url, runnerKey, config }: { url: string; runnerKey: string; config: Config },
  processes: SupervisedProcess[],
  stopping: AbortSignal,
): Promise<void> {
  const env = {
    RUNNER_WORK_DIR: join(config.dataDir, 'work'),
    STORAGE_ROOTS: `file:${join(config.dataDir, 'storage')}`,
    ...runnerEnv(url, runnerKey, config),
  };
  const runner = supervise(`${name} runner`, join('runners', name), env, config);
  processes.unshift(runner);
  while (!stopping.aborted && !runner.hasLogged('connected to the coordinator')) {
    const fault = runner.fault();
    if (fault !== undefined)
      return screen.line(screen.yellow(`  ! ${`${name} runner`.padEnd(STEP_WIDTH)} does not run: ${fault}`));
    await sleep(READY_POLL_MS);
  }
  runner.supervise();
  step(`${name} runner`, `runners/${name}/README.md`);
}

function supervise(name: string, folder: string, env: NodeJS.ProcessEnv, { dataDir }: Config): SupervisedProcess {
  const program = join(folder, 'dist', folder === 'coordinator' ? 'main.js' : 'index.js');
  const logFile = join(dataDir, `${name.replace(' ', '-')}.log`);
  return new SupervisedProcess({
    name,
    program,
    cwd: ROOT,
    env,
    logFile,
    notice: (line) => screen.line(screen.yellow(`  ! ${line}`)),
  });
}

/** The runner's environment has nothing of the database, or of the coordinator's settings. */
function runnerEnv(url: string, runnerKey: string, { dataDir }: Config): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('BATON_'));
  return {
    QUOTES_OUTPUT_DIR: join(dataDir, 'quotes'),
    ...Object.fromEntries(own),
    COORDINATOR_URL: url,
    RUNNER_KEY: runnerKey,
    // Both are on this machine.
    no_proxy: '*',
  };
}

/** False: it was stopped before it was ready. */
async function isReady(url: string, coordinator: SupervisedProcess, stopping: AbortSignal): Promise<boolean> {
  while (!stopping.aborted) {
    // Its own log line first, because another coordinator could answer at that URL.
    const response = coordinator.hasLogged('coordinator listens')
      ? await fetch(`${url}/readyz`).catch(() => undefined)
      : undefined;
    if (response?.ok) return true;
    const fault = coordinator.fault();
    if (fault !== undefined) throw new StartError(fault);
    await sleep(READY_POLL_MS);
  }
  return false;
}

function step(name: string, text: string): void {
  screen.line(`  ${screen.green('✓')} ${name.padEnd(STEP_WIDTH)} ${text}`);
}

function watch(coordinator: SupervisedProcess, runner: SupervisedProcess, stopping: AbortSignal): void {
  const users = [
    { supervised: coordinator, projects: ['runner-sdk', 'coordinator'] },
    { supervised: runner, projects: ['runner-sdk', 'runners/quotes'] },
  ];
  const compiled = (changed: string[]): void => {
    for (const { supervised, projects } of users.filter((user) =>
      user.projects.some((project) => changed.includes(project)),
    )) {
      supervised.restart().then(
        () => screen.line(screen.dim(`  ↻ ${projects.at(-1)} compiled and started again`)),
        (error: unknown) => screen.line(screen.red(String(error))),
      );
    }
  };
  watchSources(
    ROOT,
    ['runner-sdk', 'coordinator', 'runners/quotes'],
    { compiled, fault: (line) => screen.line(screen.red(line)) },
    stopping,
  );
  step('watching', 'runner-sdk, coordinator and runners/quotes are compiled and started again as they change');
}

async function showQuotes(client: Client, again: boolean, stopping: AbortSignal): Promise<void> {
  const demo = await submitQuotes(client, again);
  if (demo.wasDone) {
    const at = demo.jobs.map(({ createdAt }) => createdAt).sort()[0] ?? '';
    step(
      'quotes',
      `processed already, on ${at.slice(0, 16).replace('T', ' at ')} UTC; ${screen.bold('npm start -- --again')} does it once more`,
    );
  } else {
    step('quotes', `730 quotes of films, submitted as ${demo.jobs.length} jobs\n`);
  }
  const jobs = demo.wasDone ? demo.jobs : await followJobs(client, demo, screen, stopping);
  if (stopping.aborted) return;
  screen.line();
  for (const line of summary(jobs, screen)) screen.line(`  ${line}`);
}

async function showNightly(client: Client, stopping: AbortSignal): Promise<void> {
  const nightly = await scheduleQuotes(client);
  const { timezone, next } = nightly;
  step('schedule', `every night at two in ${timezone}, next at ${next.slice(0, 16).replace('T', ' ')} UTC`);
  step('workflow', 'run once by hand: 730 quotes of films in parts, and a job that merges them\n');
  const merged = await followNightly(client, nightly, screen, stopping);
  if (merged === null) return;
  const { processed, words, duplicates, nearDuplicates, yearsDoubted } = merged;
  const counts = [
    `${screen.bold(String(processed))} quotes, ${words} words`,
    `${duplicates} said twice`,
    `${nearDuplicates} nearly so`,
    `${yearsDoubted} with a doubtful year`,
  ];
  screen.line(`\n  merged: ${counts.join(' · ')}`);
}

/** A link that opens the dashboard signed in, once; null: none could be created, which is not a reason to stop. */
async function linkTo(url: string, key: string): Promise<string | null> {
  const made = await fetch(`${url}/session/links`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ expiresInMs: LINK_LIFE_MS }),
  }).catch(() => undefined);
  if (made?.ok !== true) return null;
  const { path } = (await made.json()) as SessionLink;
  return url + path;
}

function showWhatNext(
  url: string,
  { admin, config, link }: { admin: AdminKey; config: Config; link: string | null },
): void {
  const header = `-H "Authorization: Bearer ${admin.inShell}"`;
  const body = `'{"type":"BATCH_QUOTE_PROCESS","arguments":{"quotes":["May the force be with you."]}}'`;
  const lines = [
    '',
    `${screen.bold('Try next')}`,
    `  curl -s ${url}/jobs ${header} -H 'Content-Type: application/json' -d ${body}`,
    `  curl -s '${url}/jobs?limit=1' ${header}`,
    '',
    `  ${screen.dim('dashboard')}  ${url}/dashboard/`,
    ...(link === null
      ? []
      : [`             ${link}`, `             ${screen.dim('signed in; works once, within an hour')}`]),
    `  ${screen.dim('admin key')}  ${admin.place}`,
    `  ${screen.dim('API')}        ${url}/docs`,
    `  ${screen.dim('output')}     ${quoted(shortest(join(config.dataDir, 'quotes')))}`,
    `  ${screen.dim('logs')}       ${quoted(shortest(config.dataDir))}/*.log`,
    '',
    screen.dim('Ctrl-C drains and stops; the data stay for the next npm start.'),
  ];
  for (const line of lines) screen.line(line);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const isPlain = [StartError, ConfigError, ConfigurationError, BatonError].some((kind) => error instanceof kind);
    console.error(isPlain ? (error as Error).message : error);
    process.exit(1);
  },
);
