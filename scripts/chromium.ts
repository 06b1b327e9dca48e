import { findProgram, installPackage } from './debian';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** A Chromium of this machine, in PATH; null: there is none. */
export function findChromium(): string | null {
  return NAMES.map(findProgram).find((path) => path !== null) ?? null;
}

/**
 * Installs Debian's Chromium where there is none.
 * @returns what became of it, in words; null: one was there
 */
export async function installChromium(): Promise<string | null> {
  return findChromium() === null ? installPackage('chromium', 'tests in a browser') : null;
}
