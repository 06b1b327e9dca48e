import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** The folders of the workspaces, from the project's folder, with `/`. */
export function workspaces(root: string): string[] {
  const { workspaces: patterns } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    workspaces: string[];
  };
  return patterns.flatMap((pattern) => (pattern.endsWith('/*') ? packagesIn(root, pattern.slice(0, -2)) : [pattern]));
}

function packagesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder))
    .map((name) => posix.join(folder, name))
    .filter((path) => existsSync(join(root, path, 'package.json')));
}
