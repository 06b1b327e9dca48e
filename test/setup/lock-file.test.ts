import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Entry {
  optionalDependencies?: Record<string, string>;
}

/** Vite names it for Windows, and the registry does not have it: `npm ci` passes over it. */
const UNPUBLISHED = new Set(['napi-windows-process-start-time']);

describe('package-lock.json', () => {
  // npm writes down only what it could find for this machine, and then refuses `npm ci` on every machine.
  it('holds the packages of every platform', () => {
    const { packages } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Entry>;
    };
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !UNPUBLISHED.has(name) && !isFound(packages, path, name)),
    );
    expect(Object.keys(packages).length).toBeGreaterThan(100);
    expect(missing).toEqual([]);
  });
});

/** As Node looks for packages: in the package's own node_modules, then in those of the folders above. */
function isFound(packages: Record<string, Entry>, path: string, name: string): boolean {
  for (let folder = path; ; folder = folder.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$|^[^@]*$/, '')) {
    if (`${folder === '' ? '' : `${folder}/`}node_modules/${name}` in packages) return true;
    if (folder === '') return false;
  }
}
