import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedDatabaseError } from './account';
import { type Installation, PROGRAM_ENV } from './installation';
import type { DataLocation } from './location';
import { isAliveWith, readOrEmpty } from './process';

/** What the server writes about itself into its lock file, `postmaster.pid`. */
export interface Postmaster {
  pid: number;
  port: number;
  /** `starting`, `ready`, `stopping`; empty while the file is being written. */
  state: string;
}

const POLL_MS = 20;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const FAST_SHUTDOWN_MS = 60_000;
/** A server fills its lock file as soon as it has created it; not even an overloaded disk delays that for so long. */
const EMPTY_FOR_MS = 20_000;

/** The server that runs on this cluster, whoever started it; undefined if none does. */
export function findPostmaster(clusterDir: string): Postmaster | undefined {
  const postmaster = readLockFile(clusterDir);
  return postmaster !== undefined && isAliveWith(postmaster.pid, clusterDir) ? postmaster : undefined;
}

/**
 * Starts a server and waits until it accepts connections, which after a crash includes recovery. It has a session of
 * its own, so it outlives this process and does not get the terminal's Ctrl-C.
 * @returns undefined when another server was faster on the same cluster, or seems to be about to start
 * @throws {EmbeddedDatabaseError} with the last lines of the server's log
 */
export async function launch(
  location: DataLocation,
  installation: Installation,
  options: { port: number; settings: Record<string, string> },
): Promise<Postmaster | undefined> {
  disownLockFile(location.clusterDir);
  const logStart = openLog(location.logFile);
  const child = spawn(
    join(installation.bin, 'postgres'),
    ['-D', location.clusterDir, ...asArguments({ ...options.settings, port: String(options.port) })],
    {
      ...location.account,
      cwd: '/',
      env: PROGRAM_ENV,
      detached: true,
      stdio: ['ignore', logStart.file, logStart.file],
    },
  );
  closeSync(logStart.file);
  child.unref();
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended = `it ended with ${signal ?? `code ${String(code)}`}`));
  while (ended === undefined) {
    const postmaster = readLockFile(location.clusterDir);
    if (postmaster?.pid === child.pid && postmaster?.state === 'ready') return postmaster;
    await sleep(POLL_MS);
  }
  const words = readFileSync(location.logFile).subarray(logStart.size).toString();
  if (/lock file .* (already exists|is empty)|pre-existing shared memory block/.test(words)) return undefined;
  throw explain(words, ended, location, options.port);
}

/** Waits for a server that is starting or stopping. Undefined: it has ended. */
export async function settled(clusterDir: string): Promise<Postmaster | undefined> {
  for (;;) {
    const postmaster = findPostmaster(clusterDir);
    if (postmaster === undefined || postmaster.state === 'ready') return postmaster;
    await sleep(POLL_MS);
  }
}

/** Stops the server: connections are closed, and everything committed is on disk. Returns when it has ended. */
export async function shutDown(postmaster: Postmaster, clusterDir: string): Promise<void> {
  // PostgreSQL's fast shutdown; after the deadline its immediate one, from which it recovers at the next start.
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isAliveWith(postmaster.pid, clusterDir)) return;
    process.kill(postmaster.pid, signal);
    const deadline = performance.now() + FAST_SHUTDOWN_MS;
    while (performance.now() < deadline) {
      if (readLockFile(clusterDir)?.pid !== postmaster.pid || !isAliveWith(postmaster.pid, clusterDir)) return;
      await sleep(POLL_MS);
    }
  }
}

/** A port of 127.0.0.1 that is free now: the wanted one if it can be. */
export async function findPort(wanted?: number): Promise<number> {
  for (const candidate of wanted === undefined ? [0] : [wanted, 0]) {
    const port = await tryPort(candidate);
    if (port !== undefined) return port;
  }
  throw new EmbeddedDatabaseError('No TCP port of 127.0.0.1 is free for the embedded database.');
}

/** The port of the last server, running or not. */
export function lastPort(clusterDir: string): number | undefined {
  const port = /"port=(\d+)"/.exec(readOrEmpty(join(clusterDir, 'postmaster.opts')))?.[1];
  return port === undefined ? undefined : Number(port);
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1' }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}

function readLockFile(clusterDir: string): Postmaster | undefined {
  const lines = readOrEmpty(join(clusterDir, 'postmaster.pid')).split('\n');
  const pid = Number.parseInt(lines[0] ?? '', 10);
  return pid > 0 ? { pid, port: Number.parseInt(lines[3] ?? '', 10) || 0, state: (lines[7] ?? '').trim() } : undefined;
}

/**
 * PostgreSQL considers a lock file live if any process of its user has that process id, even another program or a
 * zombie. It considers one that names its own parent stale (CreateLockFile), but still checks the shared memory that it
 * names. An empty file belongs to a server that is starting, or to a machine that lost power then; it is removed once
 * it is old.
 */
function disownLockFile(clusterDir: string): void {
  const path = join(clusterDir, 'postmaster.pid');
  const text = readOrEmpty(path);
  if (text === '') {
    const madeAt = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - madeAt > EMPTY_FOR_MS) rmSync(path, { force: true });
    return;
  }
  if (findPostmaster(clusterDir) !== undefined) return;
  writeFileSync(path, text.replace(/^-?\d+/, String(process.pid)));
}

function openLog(path: string): { file: number; size: number } {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`);
  return { file: openSync(path, 'a', 0o600), size: size > LOG_LIMIT_BYTES ? 0 : size };
}

function asArguments(settings: Record<string, string>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function explain(words: string, ended: string, location: DataLocation, port: number): EmbeddedDatabaseError {
  const fatal = words.split('\n').findLast((line) => /(FATAL|PANIC):/.test(line));
  const fault = fatal?.replace(/^.*?(FATAL|PANIC):\s*/, '') ?? ended;
  const advice = [
    {
      sign: /Address already in use|could not create any TCP/,
      words: `Port ${port} was taken by another program in the meantime; start again.`,
    },
    { sign: /No space left on device/, words: 'The disk is full: free some space.' },
    {
      sign: /could not create shared memory|Cannot allocate memory|could not map/,
      words: 'The machine is short of memory, or its limits are low.',
    },
  ].find(({ sign }) => sign.test(words))?.words;
  return new EmbeddedDatabaseError(
    `The embedded database did not start: ${fault}. ${advice ?? `More is in ${location.logFile}.`}`,
  );
}
