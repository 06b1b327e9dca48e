import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from '@baton/runner-sdk';
import { type BrowserContext, chromium } from 'playwright-core';
import { findChromium } from './chromium';

const ROOT = join(__dirname, '..', '..');
const FOLDER = join(ROOT, 'docs', 'images');
const QUALITY = 82;
const SCHEMES = ['light', 'dark'] as const;
const VIEWPORTS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 780 } } as const;
/** Until charts have moved into their places. */
const SETTLE_MS = 700;

interface Shot {
  name: string;
  path: string;
}

/**
 * Takes the pictures of the dashboard's screens into `docs/images/`, of a coordinator that runs, such as one of
 * `npm start`: in light and dark, on a desktop and on a phone.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:3001' },
      key: { type: 'string', default: join('.baton', 'admin-key') },
    },
  });
  const executablePath = findChromium();
  if (executablePath === null) throw new Error('There is no chromium in PATH.');
  const key = existsSync(values.key) ? readFileSync(values.key, 'utf8').trim() : values.key;
  const client = new Client({ coordinatorUrl: values.url, apiKey: key, proxy: false });
  const shots = await shotsOf(client);
  await client.close();
  mkdirSync(FOLDER, { recursive: true });
  const browser = await chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
  for (const colorScheme of SCHEMES)
    for (const [device, viewport] of Object.entries(VIEWPORTS)) {
      const context = await browser.newContext({ colorScheme, viewport });
      await take(context, { url: values.url, key, suffix: `${colorScheme}-${device}` }, shots);
      await context.close();
    }
  await browser.close();
}

async function take(
  context: BrowserContext,
  { url, key, suffix }: { url: string; key: string; suffix: string },
  shots: readonly Shot[],
): Promise<void> {
  const page = await context.newPage();
  await page.goto(`${url}/dashboard/`);
  await page.getByLabel('API key or token').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Account' }).waitFor();
  for (const { name, path } of shots) {
    await page.goto(`${url}/dashboard/${path}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.waitForTimeout(SETTLE_MS);
    const file = join(FOLDER, `${name}-${suffix}.jpg`);
    await page.screenshot({ path: file, type: 'jpeg', quality: QUALITY });
    console.log(file);
  }
}

/** The screens, those of one thing with the first one that is there. */
async function shotsOf(client: Client): Promise<Shot[]> {
  const { items: jobs } = await client.list({ status: 'completed', limit: 1 });
  const { items: schedules } = await client.schedules.list({ limit: 1 });
  const { items: batches } = await client.batches.list({ limit: 1 });
  const { items: workflows } = await client.workflows.list({ limit: 1 });
  const one = (name: string, path: string, [first]: readonly { id: string }[]): Shot[] =>
    first === undefined ? [] : [{ name, path: `${path}/${first.id}` }];
  const lists = ['jobs', 'schedules', 'workflows', 'batches', 'dead-letters', 'queues', 'runners', 'analytics'];
  const rest = ['alerts', 'webhooks', 'api-keys', 'audit', 'system'];
  return [
    { name: 'overview', path: '' },
    { name: 'new-job', path: 'jobs/new' },
    ...[...lists, ...rest].map((path) => ({ name: path, path })),
    ...one('job', 'jobs', jobs),
    ...one('schedule', 'schedules', schedules),
    ...one('workflow', 'workflows', workflows),
    ...one('batch', 'batches', batches),
    { name: 'queue', path: 'queues/default' },
  ];
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
