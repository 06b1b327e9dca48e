import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const POLL_MS = 400;
const SOURCE = /\.([cm]?[jt]sx?|json)$/;
/** A folder with more files than that is not a runner's. */
const MOST_FILES = 5000;

/** Calls when a source below the folder changes, appears or goes; packages and hidden folders are left out. */
export function watchFolder(folder: string, onChange: () => void): { close: () => void } {
  let before = stamps(folder);
  const timer = setInterval(() => {
    const now = stamps(folder);
    if (now === before) return;
    before = now;
    onChange();
  }, POLL_MS);
  return { close: () => clearInterval(timer) };
}

/** Names and times of all sources. Looking is cheap here, and works where the system's notices do not. */
function stamps(folder: string): string {
  const found: string[] = [];
  const walk = (place: string): void => {
    for (const entry of readdirSync(place, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.') || found.length > MOST_FILES) continue;
      const path = join(place, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (SOURCE.test(entry.name))
        found.push(`${path} ${statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0}`);
    }
  };
  walk(folder);
  return found.join('\n');
}
