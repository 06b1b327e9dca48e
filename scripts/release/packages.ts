import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** The project's folder. Searched upwards, because this file runs compiled and as source. */
export const ROOT = findRoot(__dirname);

export interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  license?: string;
  description?: string;
  files?: string[];
  bin?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  [field: string]: unknown;
}

/** A workspace that is published. */
export interface Package {
  /** From the project's folder, with `/`. */
  folder: string;
  manifest: Manifest;
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
}

/** The workspaces that are not private, those that others depend on first. */
export function publishedPackages(): Package[] {
  const left = workspaceFolders()
    .map((folder) => ({ folder, manifest: readManifest(folder) }))
    .filter(({ manifest }) => manifest.private !== true);
  const sorted: Package[] = [];
  while (left.length > 0) {
    const isReady = ({ manifest }: Package): boolean =>
      !left.some(({ manifest: { name } }) => name in (manifest.dependencies ?? {}));
    const next = left.findIndex(isReady);
    if (next < 0)
      throw new Error(`These packages depend on each other: ${left.map(({ folder }) => folder).join(', ')}`);
    sorted.push(...left.splice(next, 1));
  }
  return sorted;
}

export function workspaceFolders(): string[] {
  const { workspaces } = readManifest('.') as unknown as { workspaces: string[] };
  return workspaces.flatMap((pattern) =>
    pattern.endsWith('/*')
      ? readdirSync(join(ROOT, pattern.slice(0, -2)))
          .map((name) => posix.join(pattern.slice(0, -2), name))
          .filter((folder) => existsSync(join(ROOT, folder, 'package.json')))
      : [pattern],
  );
}

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package-lock.json')) ? folder : findRoot(dirname(folder));
}
