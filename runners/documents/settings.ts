import { setting } from '@baton/runner-kit';
import { z } from 'zod';

export const documentsSettings = {
  DOCUMENTS_CHROMIUM: z.string().optional(),
  DOCUMENTS_SANDBOX: setting.flag().optional(),
  DOCUMENTS_MOST_PAGES: setting.wholeNumber(1, 10_000).default(500),
  DOCUMENTS_MOST_SECONDS: setting.wholeNumber(1, 3600).default(120),
  DOCUMENTS_MOST_MB: setting.wholeNumber(1, 1000).default(50),
  DOCUMENTS_MOST_MEMORY_MB: setting.wholeNumber(256, 1_000_000).default(4096),
};

/** Where programs of this host are looked for. */
export function searchPath(env: Record<string, string | undefined> = process.env): string {
  return env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';
}

/** Chromium has no sandbox for root. */
export function isSandboxed(wanted: boolean | undefined): boolean {
  return wanted ?? process.getuid?.() !== 0;
}
