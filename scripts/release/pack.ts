import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Manifest, type Package, publishedPackages, ROOT } from './packages';

/** What goes into a package from other folders of the project, under the same path. */
const SHIPPED = new Map([['@baton/coordinator', ['prisma/migrations', 'dashboard/dist']]]);
/** Programs, which nobody imports. */
const UNTYPED = new Set(['@baton/coordinator', '@baton/cli']);
/** What compiling leaves behind and nobody runs. */
const LEFT_OUT = /\.(?:map|tsbuildinfo)$|[/\\]\.built-from$/;
const MAP_COMMENT = /\n?\/\/# sourceMappingURL=.*\s*$/;

export interface Packed {
  name: string;
  version: string;
  /** Absolute path of the tarball. */
  file: string;
}

/**
 * Packs what is published, as it is built now: each package is put together in a folder of its own and packed there, so
 * that nothing of the project but what it names gets in.
 * @param target folder for the tarballs, which is created
 * @param repository URL of the repository, which provenance refers to; null: there is none yet
 */
export function packAll(target: string, repository: string | null): Packed[] {
  mkdirSync(target, { recursive: true });
  const staging = join(target, 'staging');
  try {
    return publishedPackages().map((one) => {
      const folder = stage(one, join(staging, basename(one.folder)), repository);
      const output = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', target], {
        cwd: folder,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [{ filename }] = JSON.parse(output) as [{ filename: string }];
      return { name: one.manifest.name, version: one.manifest.version, file: join(target, filename) };
    });
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

function stage({ folder, manifest }: Package, target: string, repository: string | null): string {
  mkdirSync(target, { recursive: true });
  const source = join(ROOT, folder);
  for (const name of manifest.files ?? []) {
    if (!existsSync(join(source, name)))
      throw new Error(`${folder}/package.json names ${name}, which is not there. Run npm run build.`);
    copy(join(source, name), join(target, name), UNTYPED.has(manifest.name));
  }
  const shipped = SHIPPED.get(manifest.name) ?? [];
  for (const name of shipped) copy(join(ROOT, name), join(target, name), true);
  cpSync(join(ROOT, 'LICENSE'), join(target, 'LICENSE'));
  writeFileSync(
    join(target, 'package.json'),
    `${JSON.stringify(publishedManifest({ folder, manifest }, shipped, repository), null, 2)}\n`,
  );
  return target;
}

function copy(from: string, to: string, isUntyped: boolean): void {
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !LEFT_OUT.test(path) && !(isUntyped && path.endsWith('.d.ts')),
  });
  withoutMapComments(to);
}

/** Maps are left out, so nothing refers to them. */
function withoutMapComments(path: string): void {
  if (statSync(path).isDirectory()) {
    for (const name of readdirSync(path)) withoutMapComments(join(path, name));
  } else if (/\.(?:js|d\.ts)$/.test(path)) {
    const text = readFileSync(path, 'utf8');
    if (MAP_COMMENT.test(text)) writeFileSync(path, text.replace(MAP_COMMENT, '\n'));
  }
}

function publishedManifest({ folder, manifest }: Package, shipped: string[], repository: string | null): Manifest {
  const { devDependencies: _unpublished, ...rest } = manifest;
  return {
    ...rest,
    files: [...(manifest.files ?? []), ...shipped],
    ...(repository !== null && { repository: { type: 'git', url: repository, directory: folder } }),
    publishConfig: { access: 'public', ...(repository !== null && { provenance: true }) },
  };
}
