import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import type { Client } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { coordinatorVariables } from '../../config';
import { Failure } from '../../exit-codes';
import { Child } from '../../local/child';
import { coordinatorProgram } from '../../local/coordinator-package';
import { logLine, parseLogged } from '../../local/log-line';
import { watchFolder } from '../../local/sources';
import { jsonText } from '../../terminal/text';

export interface DevOptions {
  file: string | undefined;
  port: number | undefined;
  hasRunner: boolean;
}

const LINK_LIFE_MS = 3_600_000;
const HELLO = { type: 'HELLO', arguments: { name: 'world' }, idempotencyKey: 'baton-dev-hello' };

interface Started {
  url: string;
  key: string;
}

/** Until it is told to stop, or the coordinator ends. */
export async function runDev(cli: Cli, { file, port, hasRunner }: DevOptions): Promise<void> {
  const runnerFile = file === undefined ? undefined : resolve(file);
  if (runnerFile !== undefined && !existsSync(runnerFile))
    throw new Failure('usage', `there is no file ${file}`, 'Name a file that starts a runner, such as src/runner.ts.');
  const dataDir = resolve(cli.environment.dataDir);
  const signal = cli.serve();
  const env = {
    ...coordinatorVariables(cli.environment),
    BATON_DATA_DIR: dataDir,
    ...(port !== undefined && { PORT: String(port) }),
  };
  const { coordinator, listening } = startCoordinator(cli, env);
  let runner: DevRunner | undefined;
  try {
    const url = await Promise.race([listening, coordinator.ended.then(endedEarly), aborted(signal)]);
    if (url === null) return;
    const started = { url, key: adminKey(cli, dataDir) };
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, 'url'), `${url}\n`);
    const client = await cli.clientOf(started, LINK_LIFE_MS);
    await showWhere(cli, started);
    if (hasRunner) {
      runner = new DevRunner(cli, runnerFile, {
        ...env,
        COORDINATOR_URL: url,
        RUNNER_KEY: await runnerKey(client, dataDir),
      });
      if (runnerFile === undefined) await sayHello(cli, client, signal);
    }
    await Promise.race([aborted(signal), coordinator.ended.then(endedEarly)]);
    cli.terminal.line(cli.terminal.style('dim', 'Stopping: the runner first, then the coordinator. The data stay.'));
  } finally {
    // The coordinator last, so that the runner can still report what it finished.
    await runner?.stop();
    await coordinator.stop();
  }
}

function startCoordinator(cli: Cli, env: NodeJS.ProcessEnv): { coordinator: Child; listening: Promise<string> } {
  let heard: (url: string) => void = () => undefined;
  const listening = new Promise<string>((done) => (heard = done));
  const coordinator = new Child({
    args: [coordinatorProgram('main')],
    env,
    onLine: (line) => {
      const logged = parseLogged(line);
      const url = logged?.fields.get('url');
      if (logged?.message === 'coordinator listens' && typeof url === 'string') heard(reachable(url));
      cli.terminal.line(logLine('coordinator', 0, line, cli.terminal.style));
    },
  });
  return { coordinator, listening };
}

/** A runner file, or the built-in runner, started again when a source changes or, after a crash, when it is mended. */
class DevRunner {
  private child: Child;
  private readonly watch: { close: () => void } | undefined;
  /** Changes are handled one after the other. */
  private work = Promise.resolve();
  private isOver = false;
  private isRestarting = false;

  constructor(
    private readonly cli: Cli,
    private readonly file: string | undefined,
    private readonly env: NodeJS.ProcessEnv,
  ) {
    this.child = this.start();
    this.watch = file === undefined ? undefined : watchFolder(dirname(file), () => this.changed());
  }

  async stop(): Promise<void> {
    this.isOver = true;
    this.watch?.close();
    await this.work;
    await this.child.stop();
  }

  private start(): Child {
    const { file, env, cli } = this;
    const child = new Child({
      args: file === undefined ? [join(__dirname, '..', '..', 'local', 'hello-runner.js')] : [...loaderFor(file), file],
      env: withoutSecrets(env),
      onLine: (line) => cli.terminal.line(logLine('runner', 1, line, cli.terminal.style)),
    });
    void child.ended.then((code) => {
      if (this.isOver || this.isRestarting) return;
      this.tell(
        `ended with ${code ?? 'a signal'}${file === undefined ? '' : '; it is started again when a source changes'}`,
      );
    });
    return child;
  }

  private changed(): void {
    this.work = this.work.then(async () => {
      if (this.isOver) return;
      this.tell('a source has changed: it is started again');
      this.isRestarting = true;
      await this.child.stop();
      this.isRestarting = false;
      if (!this.isOver) this.child = this.start();
    });
  }

  private tell(text: string): void {
    const { style } = this.cli.terminal;
    this.cli.terminal.line(`${style('magenta', 'runner'.padEnd(11))} ${style('yellow', text)}`);
  }
}

/** The runner gets nothing of the database, nor the admin's key. */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('BATON_')),
  );
}

/** How Node is told to run TypeScript. */
function loaderFor(file: string): string[] {
  if (!/\.[cm]?tsx?$/.test(file)) return [];
  try {
    return ['--import', createRequire(file).resolve('tsx')];
  } catch {
    // Later versions of Node say how they run it; the types are those of Node 20.
    if (Boolean((process.features as { typescript?: unknown }).typescript)) return [];
    throw new Failure('usage', 'this Node cannot run TypeScript by itself', 'Run: npm install --save-dev tsx');
  }
}

function adminKey(cli: Cli, dataDir: string): string {
  const configured = cli.environment.variables['BATON_ADMIN_KEY'];
  if (configured !== undefined && configured !== '') return configured;
  const file = join(dataDir, 'admin-key');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  throw new Failure('usage', 'there is no admin key', 'With DATABASE_URL, set BATON_ADMIN_KEY too.');
}

/** The key of the start before while it is accepted, else a new one. */
async function runnerKey(client: Client, dataDir: string): Promise<string> {
  const file = join(dataDir, 'dev-runner-key');
  const [id, key] = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ') : [];
  if (id !== undefined && key !== undefined) {
    const { items } = await client.apiKeys.list({ limit: 500 });
    if (items.some((one) => one.id === id && one.revokedAt === null)) return key;
  }
  const made = await client.apiKeys.create({ name: 'runner of baton dev', role: 'runner' });
  writeFileSync(file, `${made.id} ${made.key}\n`, { mode: 0o600 });
  return made.key;
}

async function showWhere(cli: Cli, { url, key }: Started): Promise<void> {
  const { style } = cli.terminal;
  const answer = await fetch(`${url}/session/links`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ expiresInMs: LINK_LIFE_MS }),
  }).catch(() => undefined);
  const link = answer?.ok === true ? ((await answer.json()) as { path?: unknown }).path : undefined;
  const dashboard =
    typeof link === 'string' ? `${url}${link} ${style('dim', '(signed in; works once)')}` : `${url}/dashboard/`;
  const lines = [
    '',
    `  ${style('bold', 'Baton runs')} at ${url}`,
    `  dashboard  ${dashboard}`,
    `  API        ${url}/docs`,
    `  try        baton jobs create HELLO '{"name":"Ada"}' --wait   ${style('dim', '(in another terminal, in this folder)')}`,
    `  Ctrl-C stops it; the data stay.`,
    '',
  ];
  for (const line of lines) cli.terminal.line(line);
}

/** The first job: that it is done shows that everything works. */
async function sayHello(cli: Cli, client: Client, signal: AbortSignal): Promise<void> {
  const { type, arguments: args, idempotencyKey } = HELLO;
  const job = await client.create(type, args, { idempotencyKey });
  const result = await client.wait(job, { signal });
  const { style } = cli.terminal;
  cli.terminal.line(`${style('green', 'first job'.padEnd(11))} ${type} ${job.id} is completed: ${jsonText(result)}`);
}

function endedEarly(): never {
  throw new Failure('internal', 'the coordinator has ended', 'Its last lines above say why.');
}

/** null: it was told to stop. */
async function aborted(signal: AbortSignal): Promise<null> {
  if (!signal.aborted) await once(signal, 'abort');
  return null;
}

/** As seen from this machine. */
function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:').replace(/\/+$/, '');
}
