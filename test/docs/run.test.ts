import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { job as jobShape } from '@baton/runner-sdk/protocol';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { readPage } from './markdown';
import { Background, isThere, runShell } from './process';

// What the README shows is done as it stands there, against a coordinator; only its address and the key's place differ.

const ROOT = join(__dirname, '..', '..');
const DEADLINE_MS = 30_000;
const readme = readPage('README.md', readFileSync(join(ROOT, 'README.md'), 'utf8'));
/** The README's runners in shell need what a machine with Node alone may not have. */
const inShell = ['bash', 'curl', 'jq', 'sha256sum'].every(isThere) ? test : test.skip;

let folder: string;
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let env: Record<string, string>;
const running: Background[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-readme-'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  coordinator = await startCoordinator();
  mkdirSync(join(folder, '.baton'));
  writeFileSync(join(folder, '.baton', 'admin-key'), `${coordinator.adminKey}\n`);
  env = {
    COORDINATOR_URL: coordinator.url,
    KEY: coordinator.adminKey,
    RUNNER_KEY: await coordinator.api.makeKey({ name: 'a runner', role: 'runner' }),
  };
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

afterAll(async () => {
  await coordinator.stop();
  rmSync(folder, { recursive: true });
});

test('the runner in twelve lines has twelve, and greets; the client is answered', async () => {
  const [runner = '', client = ''] = readme.blocks.filter(({ language }) => language === 'ts').map(({ code }) => code);
  expect(runner.trim().split('\n').length).toBeLessThanOrEqual(12);
  start('greeter.mts', [], runner);
  const greeted = start('client.mts', [], client);
  await eventually(() => !greeted.isRunning, Boolean, DEADLINE_MS);
  expect(greeted.written.trim()).toBe('Hello, Ada!');
});

inShell('typed into one terminal from top to bottom, it does what it says', async () => {
  start(process.execPath, [join(ROOT, 'runners', 'quotes', 'dist', 'index.js')]);
  const { RUNNER_KEY: _made, KEY: _read, COORDINATOR_URL: _exported, ...bare } = { ...process.env };
  const script = typed().replace('http://127.0.0.1:3001', coordinator.url);
  const { status, stdout } = await runShell(`set -e\n${script}`, bare as Record<string, string>, folder);
  const [created = '', awaited = '', greeted = '', hashed = ''] = stdout.split(MARK).map((text) => text.trim());
  expect(status).toBe(0);
  expect(jobShape.parse(JSON.parse(created))).toMatchObject({ type: 'BATCH_QUOTE_PROCESS', priority: 10 });
  expect(jobShape.parse(JSON.parse(awaited))).toMatchObject({ status: 'completed', result: { processed: 1 } });
  expect(greeted).toBe('Hello, Ada!');
  // The runner in curl shows the answers to its reports in the same terminal.
  expect(hashed).toContain('"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"');
});

const MARK = '----- the next block -----';

/** What stands between "A first job" and what is guaranteed, typed in order; files are saved under their names. */
function typed(): string {
  const headings = ['A first job', 'A runner in twelve lines', 'A runner in curl'];
  const blocks = readme.blocks.filter(({ heading }) => headings.includes(heading));
  if (blocks.length < 7) throw new Error('the README has fewer blocks than it had');
  return blocks
    .map(({ code, language, note }) => {
      if (note !== '') return `cat > ${note} <<'END_OF_FILE'\n${code}END_OF_FILE`;
      if (language !== 'sh') throw new Error(`a block of ${language} has no file name`);
      return `${code}\necho '${MARK}'`;
    })
    .join('\n');
}

/** A program, or a TypeScript file that is written first. */
function start(program: string, args: string[], code?: string): Background {
  if (code !== undefined) writeFileSync(join(folder, program), code);
  const tsx = join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  const output = { QUOTES_OUTPUT_DIR: join(folder, 'quotes') };
  const one =
    code === undefined
      ? new Background(program, args, { ...env, ...output }, folder)
      : new Background(process.execPath, [tsx, program], env, folder);
  running.push(one);
  return one;
}
