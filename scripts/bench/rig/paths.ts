import { join } from 'node:path';

/** This file runs from scripts/bench/dist/rig. */
const DIST = join(__dirname, '..');
export const ROOT = join(DIST, '..', '..', '..');
export const PEERS = join(ROOT, 'scripts', 'bench', 'peers');
export const COORDINATOR = join(ROOT, 'coordinator', 'dist', 'main.js');

export function actorFile(name: string): string {
  return join(DIST, 'actors', `${name}.js`);
}
