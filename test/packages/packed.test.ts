import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packAll, type Packed } from '../../scripts/release/pack';
import { publishedPackages, readManifest, workspaceFolders } from '../../scripts/release/packages';
import { install, installedVersion, tryOut } from '../../scripts/release/try-out';

// What is published, as a stranger gets it: packed, and installed in an empty folder with npm alone.

let folder: string;
let packed: Packed[];
/** By name, what the checks of packages find. */
let faults: Record<string, string[]>;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-packed-'));
  packed = packAll(join(folder, 'tarballs'), 'git+https://git.example.com/baton.git');
  for (const { name, file } of packed) {
    mkdirSync(unpacked(name), { recursive: true });
    execFileSync('tar', ['-xzf', file, '-C', unpacked(name), '--strip-components=1']);
  }
  const checked = packed.flatMap(({ name, file }) => [name, unpacked(name), file]);
  faults = JSON.parse(
    execFileSync(process.execPath, [join(__dirname, 'checks.mjs'), ...checked], { encoding: 'utf8' }),
  ) as typeof faults;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const names = publishedPackages().map(({ manifest: { name } }) => name);
const unpacked = (name: string): string => join(folder, 'unpacked', name);
const tarball = (name: string): string => packed.find((one) => one.name === name)?.file ?? '';

function filesOf(name: string): string[] {
  const root = unpacked(name);
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => statSync(join(root, path)).isFile());
}

test('all is published but the dashboard, which is in the coordinator, and the examples', () => {
  const others = workspaceFolders().filter((path) => !publishedPackages().some(({ folder: one }) => one === path));
  expect(others.sort()).toEqual(['dashboard', 'runners/quotes', 'runners/repositories']);
  for (const one of others) expect(readManifest(one).private).toBe(true);
});

describe.each(names)('%s', (name) => {
  const manifest = () => JSON.parse(readFileSync(join(unpacked(name), 'package.json'), 'utf8')) as Manifest;

  test('has what a package needs, and nothing else', () => {
    const files = filesOf(name);
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']));
    const needless = files.filter((path) => /\.(?:map|tsbuildinfo|tsx?)$/.test(path) && !path.endsWith('.d.ts'));
    expect(needless).toEqual([]);
    const scripts = files.filter((path) => path.endsWith('.js') && !path.startsWith('dashboard/'));
    const dangling = scripts.filter((path) =>
      readFileSync(join(unpacked(name), path), 'utf8').includes('sourceMappingURL='),
    );
    expect(dangling).toEqual([]);
  });

  test('says who may use it, and where it is from', () => {
    const { version, license, engines, description, repository, publishConfig, dependencies = {} } = manifest();
    expect({ version, license, engines }).toEqual({
      version: readManifest('.').version,
      license: 'MIT',
      engines: { node: '>=20.19' },
    });
    expect(description).toMatch(/\.$/);
    expect(repository).toMatchObject({ type: 'git', url: 'git+https://git.example.com/baton.git' });
    expect(publishConfig).toEqual({ access: 'public', provenance: true });
    expect(manifest()).not.toHaveProperty('devDependencies');
    expect(manifest()).not.toHaveProperty('private');
    for (const [other, range] of Object.entries(dependencies))
      if (other.startsWith('@baton/')) expect([other, names.includes(other), range]).toEqual([other, true, version]);
  });

  test('is in order to a linter of packages, and its types hold however modules are resolved', () => {
    expect(faults[name]).toEqual([]);
  });
});

test('a coordinator, a runner and the command line run from an empty folder', async () => {
  const wanted = ['@baton/runner-sdk', '@baton/url-policy', '@baton/coordinator', '@baton/cli', '@baton/runner-kit'];
  const home = join(folder, 'home');
  install(home, [...wanted, '@baton/runner-http'].map(tarball));
  for (const name of wanted) expect(installedVersion(home, name)).toBe(readManifest('.').version);
  const { result, listed } = await tryOut(home);
  expect(result).toBe('Hello packages');
  expect(listed).toMatch(/GREET/);
  const runner = execFileSync(process.execPath, ['-e', RUNNER], { cwd: home, encoding: 'utf8' });
  expect(runner).toContain('http-request');
}, 300_000);

/** A producer that imports the type of job that a ready-made runner takes. */
const RUNNER = `console.log(require('@baton/runner-http/jobs').httpRequest.type)`;

interface Manifest {
  version: string;
  license: string;
  engines: Record<string, string>;
  description: string;
  repository: object;
  publishConfig: object;
  dependencies?: Record<string, string>;
}
