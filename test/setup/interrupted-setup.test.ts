import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../../coordinator/store/embedded/process';
import { ROOT, until } from './embedded-rig';

// The installation ends with the signal, leaves nothing behind that goes on, and the next start takes it up again.

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-setup-'));
  for (const name of ['scripts', 'bin', 'node_modules']) mkdirSync(join(folder, name));
  copyFileSync(join(ROOT, 'scripts', 'setup.mjs'), join(folder, 'scripts', 'setup.mjs'));
  const packages = { 'node_modules/a': { version: '1.0.0' } };
  writeFileSync(
    join(folder, 'package-lock.json'),
    JSON.stringify({ packages: { ...packages, 'node_modules/b': { version: '2.0.0' } } }),
  );
  writeFileSync(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
  // Stands for npm: tells its number, and then takes its time.
  const npm = join(folder, 'bin', 'npm');
  writeFileSync(npm, `#!/bin/sh\necho $$ >> "${folder}/runs"\nexec sleep 600\n`);
  chmodSync(npm, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const runs = (): number[] =>
  existsSync(join(folder, 'runs')) ? readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n').map(Number) : [];

test('a workspace that an earlier start did not install is linked, though no package is missing', async () => {
  const workspace = (name: string, dependencies = {}) => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'package.json'), JSON.stringify({ name: `@baton/${name}`, dependencies }));
    return { [name]: { dependencies }, [`node_modules/@baton/${name}`]: { resolved: name, link: true } };
  };
  const packages = { '': {}, ...workspace('kit'), ...workspace('mail', { '@baton/kit': '*' }) };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ workspaces: ['kit', 'mail'] }));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages }));
  writeFileSync(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: {} }));
  writeFileSync(join(folder, 'node_modules', '.baton-scope'), '');
  const child = spawn(process.execPath, [join(folder, 'scripts', 'setup.mjs'), '--only', 'mail'], {
    env: { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` },
    stdio: 'ignore',
  });
  await until(() => runs()[0]);
  child.kill('SIGTERM');
  expect(await once(child, 'close')).toEqual([143, null]);
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s', async (signal) => {
  for (const round of [1, 2]) {
    const child = spawn(process.execPath, [join(folder, 'scripts', 'setup.mjs')], {
      env: { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` },
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (part: string) => (text += part));
    const npm = await until(() => runs()[round - 1]);
    child.kill(signal);
    const [code] = (await once(child, 'close')) as [number | null];
    expect(code).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(text).toContain('dependencies: interrupted; the next start takes it up again');
    expect(isAlive(npm)).toBe(false);
    expect(existsSync(join(folder, 'node_modules', '.package-lock.json'))).toBe(false);
  }
});
