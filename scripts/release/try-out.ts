import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const KEY = 'a-key-to-try-the-packages-with';
const START_MS = 120_000;
const PROGRAM_MS = 120_000;
/** A user's program: an ES module that knows the SDK by its name only. */
const PROGRAM = `
import { Client, defineJob, Runner } from '@baton/runner-sdk';
const greet = defineJob({ type: 'GREET' });
const runner = new Runner({ signals: false, logger: { debug() {}, info() {}, warn: console.warn, error: console.error } });
await runner.handle(greet, ({ name }) => 'Hello ' + name).start();
const client = new Client();
const job = await client.create(greet, { name: 'packages' });
const result = await client.wait(job, { timeoutMs: 60_000 });
await runner.stop();
await client.close();
console.log(result);
`;

/** Installs tarballs in an empty folder with npm alone. */
export function install(folder: string, files: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private": true}\n');
  // Only what npm has not got yet is asked for.
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', ...flags, ...files], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}

/**
 * Starts the coordinator of a folder where the packages are installed, on an empty database of its own, and lets a
 * program beside it create and process a job.
 * @returns what the job gave, and what the command line says of it
 * @throws {Error} with the coordinator's output when it does not start
 */
export async function tryOut(folder: string): Promise<{ result: string; listed: string }> {
  const bin = join(folder, 'node_modules', '.bin');
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    BATON_ADMIN_KEY: KEY,
    BATON_DATA_DIR: join(folder, 'data'),
    HOST: '127.0.0.1',
    PORT: '0',
  };
  const coordinator = spawn(join(bin, 'baton-coordinator'), [], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(coordinator, 'close');
  try {
    const url = await addressOf(coordinator.stdout, coordinator.stderr);
    writeFileSync(join(folder, 'program.mjs'), PROGRAM);
    const as = { ...env, COORDINATOR_URL: url, RUNNER_KEY: KEY, BATON_KEY: KEY };
    const options = { cwd: folder, env: as, encoding: 'utf8', timeout: PROGRAM_MS } as const;
    const result = execFileSync(process.execPath, ['program.mjs'], options).trim();
    const listed = execFileSync(join(bin, 'baton'), ['jobs', 'list', '--status', 'completed'], options);
    return { result, listed };
  } finally {
    coordinator.kill('SIGTERM');
    await ended;
  }
}

/** The address that it logs once it listens. */
async function addressOf(stdout: Readable, stderr: Readable): Promise<string> {
  const said: string[] = [];
  createInterface(stderr).on('line', (line) => said.push(line));
  const lines = createInterface(stdout);
  const late = setTimeout(() => lines.close(), START_MS).unref();
  for await (const line of lines) {
    said.push(line);
    const url = /"url":"([^"]+)"/.exec(line)?.[1];
    if (url === undefined || !line.includes('coordinator listens')) continue;
    clearTimeout(late);
    // A pipe that nobody reads would hold its writer up once it is full.
    stdout.resume();
    return url;
  }
  throw new Error(`The coordinator did not start:\n${said.join('\n')}`);
}

/** The version that a package installed in this folder says of itself. */
export function installedVersion(folder: string, name: string): string {
  const manifest = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
