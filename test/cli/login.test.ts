import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCoordinator } from '../support/coordinator';
import { Shell } from './support/command';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
let coordinator: Started;

beforeAll(async () => {
  coordinator = await startCoordinator();
});

afterAll(() => coordinator.stop());

test('a login is kept where only its owner can read it, and is used from then on', async () => {
  const shell = new Shell();
  const { url, adminKey } = coordinator;
  const login = await shell.spawn(['login', `${url}/`], { stdin: `${adminKey}\n` });
  expect(login).toMatchObject({ code: 0, stderr: '' });
  expect(login.stdout).not.toContain(adminKey);
  const file = join(shell.configDir, 'profiles.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);

  expect(await shell.json(['whoami'])).toMatchObject({ url: `${url}/`, source: 'profile "default"', role: 'admin' });
  expect((await shell.run(['profiles'])).stdout).not.toContain(adminKey);

  await shell.run(['login', url, '--profile', 'other'], { stdin: adminKey });
  expect(await shell.json(['profiles'])).toEqual({
    items: [
      { name: 'default', url: `${url}/` },
      { name: 'other', url },
    ],
  });
  expect((await shell.run(['logout'])).code).toBe(0);
  expect(await shell.json(['whoami'], { env: { BATON_PROFILE: 'other' } })).toMatchObject({ url });
  expect(await shell.run(['whoami', '--profile', 'default'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('there are: other'),
  });

  chmodSync(file, 0o644);
  expect(await shell.run(['whoami', '--profile', 'other'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('can be read by other users'),
  });
});

test('a key that is refused is not kept', async () => {
  const shell = new Shell();
  const login = await shell.run(['login', coordinator.url], { stdin: 'not-a-key' });
  expect(login).toMatchObject({ code: 4, stdout: '' });
  expect(await shell.json(['profiles'])).toEqual({ items: [] });
});

test('the environment names another coordinator only together with its own key', async () => {
  const shell = new Shell();
  await shell.run(['login', coordinator.url], { stdin: coordinator.adminKey });
  const elsewhere = { COORDINATOR_URL: 'http://127.0.0.1:9' };
  expect(await shell.run(['whoami'], { env: elsewhere })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('there is no key for http://127.0.0.1:9'),
  });
  const both = { COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey };
  expect(await shell.json(['whoami'], { env: both })).toMatchObject({ source: 'COORDINATOR_URL and BATON_KEY' });
});

test('a coordinator that was started in this folder is found without a login', async () => {
  const shell = new Shell();
  const dataDir = join(shell.folder, '.baton');
  mkdirSync(dataDir);
  writeFileSync(join(dataDir, 'admin-key'), `${coordinator.adminKey}\n`);
  const { port } = new URL(coordinator.url);
  const whoami = await shell.spawn(['whoami', '--json'], { env: { PORT: port } });
  expect(JSON.parse(whoami.stdout)).toMatchObject({
    source: 'the coordinator of .baton',
    url: coordinator.url,
  });
});

test('each way to fail has its exit code', async () => {
  const shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
  const job = await coordinator.api.create({ type: 'NEVER_RUN' });
  await coordinator.api.post(`/jobs/${job.id}/cancel`);
  const viewer = await coordinator.api.makeKey({ name: 'viewer', role: 'viewer' });
  const [away, unknown, conflict, denied, keyless] = await Promise.all([
    shell.spawn(['stats'], { env: { COORDINATOR_URL: 'http://127.0.0.1:9' } }),
    shell.spawn(['jobs', 'get', '01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10']),
    shell.spawn(['jobs', 'cancel', job.id, '--json']),
    shell.spawn(['keys', 'list'], { env: { BATON_KEY: viewer } }),
    new Shell().spawn(['stats']),
  ]);
  expect([away.code, unknown.code, conflict.code, denied.code, keyless.code]).toEqual([3, 5, 6, 4, 2]);
  expect(away.stderr).toContain('could not be reached');
  expect(JSON.parse(conflict.stderr)).toMatchObject({ error: { code: 'state_conflict', exitCode: 6 } });
  expect(keyless.stderr).toContain('baton login');
});
