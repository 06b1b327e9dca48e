import type { Duplex } from 'node:stream';
import { type Ended, findTool, run, SettingsError, type Tool } from '@baton/runner-kit';
import { NonRetryableError } from '@baton/runner-sdk';
import { BrowserEndedError, DevTools } from './devtools';
import { searchPath } from './settings';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
/** The first that has boxes in the margins of pages, with their numbers. */
const OLDEST = 131;
/** Nothing that Chromium does of its own accord, and no way out: every name is unknown, and no proxy answers. */
const FLAGS = [
  ...['--headless=new', '--remote-debugging-pipe', '--no-first-run', '--no-default-browser-check', '--mute-audio'],
  ...['--disable-extensions', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...['--disable-default-apps', '--disable-breakpad', '--disable-gpu', '--disable-dev-shm-usage'],
  ...['--host-resolver-rules=MAP * ~NOTFOUND', '--proxy-server=http://127.0.0.1:9', '--proxy-bypass-list=<-loopback>'],
  ...['--blink-settings=scriptEnabled=false', '--force-color-profile=srgb', '--password-store=basic'],
];

export interface Browser {
  program: string;
  /** Off where the runner is root, as which Chromium has none. */
  isSandboxed: boolean;
  limits: { seconds: number; memoryBytes: number };
}

/**
 * The Chromium of this host.
 * @param named a program; else the first of the usual names that is there
 * @throws {SettingsError} when there is none, or one that is too old
 */
export async function findChromium(named: string | undefined): Promise<Tool> {
  for (const name of named === undefined ? NAMES : [named]) {
    const found = await findTool(name, ['--version'], /(?:Chromium|Chrome)[^\d]* (\d+\.\d+)/);
    if (found === null) continue;
    if (parseInt(found.version, 10) >= OLDEST) return found;
    throw new SettingsError(`Chromium ${found.version} is too old; ${OLDEST} or later is needed`);
  }
  throw new SettingsError(
    named === undefined
      ? 'Chromium is not there; install it, such as by apt-get install chromium, or name it by DOCUMENTS_CHROMIUM'
      : 'DOCUMENTS_CHROMIUM must be a Chromium that can be started',
  );
}

/**
 * Calls `use` with the one page of a new Chromium, which keeps all that it writes in `folder`, and ends with the call.
 * @throws {NonRetryableError} `documents_too_large` when it takes more memory than it may
 */
export async function withPage<Result>(
  { program, isSandboxed, limits }: Browser,
  { folder, signal }: { folder: string; signal: AbortSignal },
  use: (page: DevTools) => Promise<Result>,
): Promise<Result> {
  const stop = new AbortController();
  let onPipes: (pipes: [Duplex, Duplex]) => void = () => undefined;
  const opened = new Promise<[Duplex, Duplex]>((resolve) => (onPipes = resolve));
  const ended = run(
    program,
    [...FLAGS, ...(isSandboxed ? [] : ['--no-sandbox']), `--user-data-dir=${folder}/profile`, 'about:blank'],
    {
      ...{ cwd: folder, env: environment(folder), signal: AbortSignal.any([signal, stop.signal]), graceMs: 1000 },
      ...{ timeoutMs: limits.seconds * 1000, mostMemoryBytes: limits.memoryBytes, onPipes },
    },
  );
  const failed = ended.then((end) => {
    signal.throwIfAborted();
    throw faultOf(end, limits);
  });
  failed.catch(() => undefined);
  try {
    return await Promise.race([failed, opened.then(openPage).then(use)]);
  } catch (error) {
    // Why the browser ended says more than that it did.
    if (error instanceof BrowserEndedError) await failed;
    throw error;
  } finally {
    stop.abort();
    await ended.catch(() => undefined);
  }
}

async function openPage([input, output]: [Duplex, Duplex]): Promise<DevTools> {
  const page = new DevTools(input, output);
  const { targetInfos } = (await page.send('Target.getTargets')) as {
    targetInfos: { type: string; targetId: string }[];
  };
  const targetId = targetInfos.find(({ type }) => type === 'page')?.targetId;
  const { sessionId } = await page.send('Target.attachToTarget', { targetId, flatten: true });
  page.session = String(sessionId);
  return page;
}

/**
 * Of the runner's environment, which holds secrets, only where programs are. The folder for temporary files is named
 * as short as can be, because a socket within it may have no long path.
 */
function environment(folder: string): Record<string, string> {
  return { PATH: searchPath(), HOME: folder, TMPDIR: '.', XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder };
}

function faultOf({ endedBy, code, signal, stderr }: Ended, { seconds, memoryBytes }: Browser['limits']): Error {
  if (endedBy === 'memory')
    return new NonRetryableError(
      `the document takes more than ${memoryBytes / 1024 / 1024} MB of memory (DOCUMENTS_MOST_MEMORY_MB)`,
      { code: 'documents_too_large' },
    );
  if (endedBy === 'timeout') return new Error(`the document takes longer than ${seconds} s (DOCUMENTS_MOST_SECONDS)`);
  if (/sandbox/i.test(stderr))
    return new Error(
      `Chromium has no sandbox here; DOCUMENTS_SANDBOX=false goes without: ${stderr.trim().slice(-300)}`,
    );
  return new Error(`Chromium ended with ${code ?? signal}: ${stderr.trim().slice(-300)}`);
}
