import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { analyseRepositories } from '@baton/runner-repositories/jobs';
import { Client } from '@baton/runner-sdk';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';

// Repositories of this host, two runners as people start them, and the workflow that a program creates.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let folder: string;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-repositories-'));
  coordinator = await startCoordinator();
});
afterAll(async () => {
  for (const one of running) if (!one.hasEnded) await one.kill();
  await coordinator.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Each commit adds one file; returns the URL. */
function repository(name: string, commits: { author: string; file: string; content: string }[]): string {
  const place = join(folder, 'git', name);
  mkdirSync(place, { recursive: true });
  const git = (args: string[], env: Record<string, string> = {}): void => {
    const own = { PATH: process.env['PATH'] ?? '', HOME: folder, GIT_CONFIG_NOSYSTEM: '1', ...env };
    execFileSync('git', args, { cwd: place, env: own, stdio: 'pipe' });
  };
  git(['init', '--quiet', '--initial-branch=main']);
  for (const [index, { author, file, content }] of commits.entries()) {
    writeFileSync(join(place, file), content);
    git(['add', '--all']);
    const at = `2026-03-0${index + 1}T12:00:00+02:00`;
    const by = { NAME: author, EMAIL: `${author.toLowerCase()}@example.org`, DATE: at };
    const env = Object.entries(by).flatMap(([key, value]) => [
      [`GIT_AUTHOR_${key}`, value],
      [`GIT_COMMITTER_${key}`, value],
    ]);
    git(['commit', '--quiet', '--message', file], Object.fromEntries(env) as Record<string, string>);
  }
  return pathToFileURL(place).href;
}

it('several repositories are analysed side by side, and what was found is merged', async () => {
  const shop = repository('shop', [
    { author: 'Ada', file: 'index.ts', content: 'export {};\n' },
    { author: 'Ada', file: 'a name with spaces.ts', content: '12345' },
    { author: 'Bob', file: 'README', content: 'hello' },
  ]);
  const api = repository('api', [
    { author: 'Ada', file: 'main.go', content: 'package main' },
    { author: 'Cleo', file: 'run.py', content: 'pass' },
    { author: 'Cleo', file: 'more.py', content: 'pass' },
    { author: 'Cleo', file: 'index.ts', content: '1' },
  ]);
  const empty = repository('empty', []);
  const key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
  for (const name of ['one', 'two']) {
    const env = {
      ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: key, RUNNER_WORK_DIR: join(folder, 'work') },
      REPOSITORIES_ROOTS: pathToFileURL(join(folder, 'git')).href,
    };
    running.push(new Program(name, ['runners/repositories/dist/index.js'], { env, log }));
  }
  const producer = await coordinator.api.makeKey({ name: 'producer', role: 'producer' });
  const client = new Client({ coordinatorUrl: coordinator.url, apiKey: producer });
  const outside = pathToFileURL(join(folder, 'elsewhere')).href;
  const created = await client.workflow('repositories', (w) =>
    analyseRepositories(w, [shop, api, empty, outside, shop]),
  );
  const ended = await client.waitWorkflow(created, { timeoutMs: 80_000 });
  const merge = Object.entries(ended.jobs).find(([name]) => name === 'merge')?.[1];
  const result = (await coordinator.api.job(String((merge as { id: string }).id))).result;
  expect(result).toEqual({
    repositories: 2,
    missing: { [empty]: 'failed', [outside]: 'failed' },
    commits: 7,
    lastCommitAt: '2026-03-04T12:00:00+02:00',
    authors: [
      { name: 'Ada', email: 'ada@example.org', commits: 3, repositories: 2 },
      { name: 'Cleo', email: 'cleo@example.org', commits: 3, repositories: 1 },
      { name: 'Bob', email: 'bob@example.org', commits: 1, repositories: 1 },
    ],
    files: {
      ts: { files: 3, bytes: 17 },
      go: { files: 1, bytes: 12 },
      py: { files: 2, bytes: 8 },
      '': { files: 1, bytes: 5 },
    },
  });
  // Nothing of the clones is left.
  const left = readdirSync(join(folder, 'work')).flatMap((own) => readdirSync(join(folder, 'work', own)));
  expect(new Set(left)).toEqual(new Set(['owner.json']));
});
