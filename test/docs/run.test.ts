import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Job, job as jobShape } from '@baton/runner-sdk/protocol';
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

inShell('a first job is created, and awaited', async () => {
  start(process.execPath, [join(ROOT, 'runners', 'quotes', 'dist', 'index.js')]);
  const script = blocksUnder('A first job', 'sh').join('\necho\n').replace('http://127.0.0.1:3001', coordinator.url);
  const { status, stdout, stderr } = await runShell(script, {}, folder);
  expect([status, stderr]).toEqual([0, '']);
  const [created, awaited] = stdout
    .trim()
    .split('\n')
    .map((line) => jobShape.parse(JSON.parse(line)));
  expect(created).toMatchObject({ type: 'BATCH_QUOTE_PROCESS', status: 'pending', priority: 10 });
  expect(awaited).toMatchObject({ id: created?.id, status: 'completed', result: { processed: 1 } });
});

test('the runner in twelve lines has twelve, and greets; the client is answered', async () => {
  const [runner = '', client = ''] = blocksUnder('A runner in twelve lines', 'ts');
  expect(runner.trim().split('\n').length).toBeLessThanOrEqual(12);
  start('greeter.mts', [], runner);
  const greeted = start('client.mts', [], client);
  await eventually(() => !greeted.isRunning, Boolean, DEADLINE_MS);
  expect(greeted.written.trim()).toBe('Hello, Ada!');
});

inShell('the runner in curl does its jobs one after the other, with the key made for it', async () => {
  const [makeKey = ''] = blocksUnder('A runner in curl', 'sh');
  const made = await runShell(makeKey, env, folder);
  const { key, role, types } = JSON.parse(made.stdout) as { key: string; role: string; types: string[] };
  expect([role, types]).toEqual(['runner', ['GREET', 'SHA256']]);

  const [loop = ''] = blocksUnder('A runner in curl', 'bash');
  env = { ...env, RUNNER_KEY: key };
  const runner = start('bash', ['-c', loop]);
  const texts = ['abc', '', 'a "quoted" text\nof two lines'];
  const jobs = await Promise.all(texts.map((text) => coordinator.api.create({ type: 'SHA256', arguments: { text } })));
  const done = await Promise.all(
    jobs.map(({ id }) => eventually(() => coordinator.api.job(id), isFinished, DEADLINE_MS)),
  );
  expect(done.map(({ status, attempt }) => [status, attempt])).toEqual(texts.map(() => ['completed', 1]));
  expect(done[0]?.result).toEqual({ sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' });
  expect(done[0]?.runnerId).toMatch(new RegExp(`^${hostname()}-\\d+$`));
  expect(runner.isRunning).toBe(true);
});

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

function blocksUnder(heading: string, language: string): string[] {
  const found = readme.blocks
    .filter((block) => block.heading === heading && block.language === language)
    .map(({ code }) => code);
  if (found.length === 0) throw new Error(`the README has no ${language} under "${heading}"`);
  return found;
}

function isFinished({ status }: Job): boolean {
  return ['completed', 'failed', 'cancelled'].includes(status);
}
