import { type Browser, chromium } from 'playwright-core';
import { findChromium } from '../../scripts/chromium';

/**
 * Tests in a browser, or the same skipped and counted, with the reason in their name. `npm test` installs one where it
 * may.
 */
export function describeInChromium(name: string, tests: () => void): void {
  if (findChromium() === null) describe.skip(`${name} (skipped: no chromium in PATH)`, tests);
  else describe(name, tests);
}

export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === null) throw new Error('There is no chromium in PATH.');
  // Chromium's sandbox does not work for root, which containers often are.
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath, chromiumSandbox: !isRoot });
}
