import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The package with the version is beside the sources, and one level above the compiled files. */
export const VERSION = readVersion([join(__dirname, 'package.json'), join(__dirname, '..', 'package.json')]);

function readVersion(places: string[]): string {
  for (const place of places) {
    try {
      const { version } = JSON.parse(readFileSync(place, 'utf8')) as { version?: string };
      if (version !== undefined) return version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
