import { execFile } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../../scripts/debian';
import { startCoordinator } from '../support/coordinator';
import { PROGRAM, Shell } from './support/command';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
const run = promisify(execFile);
let coordinator: Started;
let shell: Shell;

beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
  await coordinator.api.create({ type: 'SEND_MAIL', queue: 'mail' });
  await coordinator.api.create({ type: 'RESIZE', queue: 'images' });
  await coordinator.api.post('/jobs/claim', { runnerId: 'worker-7', types: ['NONE'] });
  const program = join(shell.folder, 'baton');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
  chmodSync(program, 0o755);
});

afterAll(() => coordinator.stop());

async function words(...typed: string[]): Promise<string[]> {
  const { stdout } = await shell.run(['complete', '--', ...typed]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t')[0] ?? '');
}

test('completes commands, options and their values', async () => {
  expect(await words('jo')).toEqual(['jobs']);
  expect(await words('job', 'ex')).toEqual(['explain', 'export']);
  expect(await words('jobs', 'list', '--finis')).toEqual(['--finished-after', '--finished-before']);
  expect(await words('jobs', 'list', '--status', 'c')).toEqual(['completed', 'cancelled']);
  expect(await words('jobs', 'list', '--status=pe')).toEqual(['--status=pending']);
  expect(await words('jobs', 'list', '--jso')).toEqual(['--json']);
  expect(await words('jobs', 'import', '')).toEqual([':files']);
  expect(await words('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  expect(await words('jobs', 'get', 'one', '')).toEqual([]);
});

test('completes names that only the coordinator knows', async () => {
  expect(await words('queues', 'pause', '')).toEqual(expect.arrayContaining(['mail', 'images']));
  expect(await words('jobs', 'list', '--queue', 'ma')).toEqual(['mail']);
  expect(await words('jobs', 'list', '--queue=im')).toEqual(['--queue=images']);
  expect(await words('jobs', 'create', 'RE')).toEqual(['RESIZE']);
  expect(await words('runners', 'drain', '')).toEqual(['worker-7']);
});

test('without a coordinator it completes what it can, and says nothing else', async () => {
  const alone = new Shell({ COORDINATOR_URL: 'http://127.0.0.1:9', BATON_KEY: 'x' });
  const { code, stdout, stderr } = await alone.run(['complete', '--', 'queues', 'pause', '']);
  expect([code, stdout, stderr]).toEqual([0, '', '']);
});

const inShell = (name: string) => (findProgram(name) === null ? test.skip : test);
const variables = () => ({ ...shell.environment, PATH: `${shell.folder}:${process.env['PATH'] ?? ''}` });

inShell('bash')('works in bash', async () => {
  const script = `source <(baton completion bash)
    try() { COMP_LINE="$1"; COMP_POINT=\${#1}; read -ra COMP_WORDS <<< "$1"; [[ $1 == *' ' ]] && COMP_WORDS+=('')
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _baton; echo "\${COMPREPLY[@]}"; }
    try 'baton queues pa'; try 'baton queues pause ma'; try 'baton jobs list --queue=im'; try 'baton jobs import tr'`;
  writeFileSync(join(shell.folder, 'try.csv'), '');
  const { stdout, stderr } = await run('bash', ['--norc', '-c', script], { cwd: shell.folder, env: variables() });
  expect([stdout.split('\n'), stderr]).toEqual([['pause', 'mail', 'images', 'try.csv', ''], '']);
});

inShell('fish')('works in fish', async () => {
  const script =
    "baton completion fish | source; complete -C 'baton queues pause ma'; complete -C 'baton jobs list --finis'";
  const { stdout } = await run('fish', ['--no-config', '-c', script], { cwd: shell.folder, env: variables() });
  expect(stdout).toMatch(/^mail\tqueues\n--finished-after\t.*\n--finished-before\t/);
});

inShell('zsh')('works in zsh', async () => {
  const script = `compdef() { :; }; _describe() { print -l "\${(@P)2}"; }; source <(baton completion zsh)
    words=(baton queues pause ma); CURRENT=4; _baton`;
  const { stdout } = await run('zsh', ['-f', '-c', script], { cwd: shell.folder, env: variables() });
  expect(stdout).toBe('mail:queues\n');
});
