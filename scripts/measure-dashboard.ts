import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from '@baton/runner-sdk';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findChromium } from './chromium';

const VIEWPORT = { width: 1280, height: 800 };
const LOADS = 5;
const BURST_MS = 10_000;
const BURST_PER_S = 1000;
const ROWS = 100_000;
const NODES = 10_000;
const LAYERS = 10;
const PART = 1000;
/** Long enough to be held back by nothing else, when a browser shares two cores with a coordinator and its database. */
const PATIENCE_MS = 300_000;
/** In the page: how long its event loop was held up, and how far its frames were apart. */
const OBSERVE = `(() => {
  const seen = { tasks: [], frames: [] };
  new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) seen.tasks.push(duration); })
    .observe({ type: 'longtask', buffered: false });
  let last = performance.now();
  const frame = () => { const now = performance.now(); seen.frames.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  window.seen = seen;
})()`;

interface Seen {
  /** Lengths of the tasks over 50 ms, in milliseconds. */
  tasks: number[];
  /** Time between two frames, in milliseconds. */
  frames: number[];
}

/**
 * Measures the dashboard of a coordinator that runs, in a Chromium: its first paint, a burst of events, a long list,
 * and a large workflow. It creates 100,000 jobs and a workflow of 10,000 that nobody runs, in a queue of their own, so
 * it wants a database that can be thrown away. `--only paint`, `burst`, `list` or `workflow` measures one of them.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:3001' },
      key: { type: 'string', default: join('.baton', 'admin-key') },
      only: { type: 'string' },
    },
  });
  const executablePath = findChromium();
  if (executablePath === null) throw new Error('There is no chromium in PATH.');
  const key = existsSync(values.key) ? readFileSync(values.key, 'utf8').trim() : values.key;
  const client = new Client({ coordinatorUrl: values.url, apiKey: key, proxy: false });
  // A key that is refused is said at once, and not by a page that never comes.
  await client.stats();
  const browser = await chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
  const wants = (part: string): boolean => values.only === undefined || values.only === part;
  try {
    if (wants('paint')) await firstPaint(browser, values.url, key);
    const page = await signedIn(browser, values.url, key);
    if (wants('burst')) await burst(browser, page, client, values.url);
    if (wants('list')) await longList(page, client, values.url);
    if (wants('workflow')) await largeWorkflow(page, client, values.url);
  } finally {
    await browser.close();
    await client.close();
  }
}

async function signedIn(browser: Browser, url: string, key: string): Promise<Page> {
  const context = await browser.newContext({ viewport: VIEWPORT });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  await page.goto(`${url}/dashboard/`);
  await page.getByLabel('API key or token').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Account' }).waitFor();
  return page;
}

/** Of the overview, by somebody who is signed in, with an empty cache. */
async function firstPaint(browser: Browser, url: string, key: string): Promise<void> {
  const paints: number[] = [];
  const shown: number[] = [];
  for (let load = 0; load < LOADS; load += 1) {
    const page = await signedIn(browser, url, key);
    const session = await page.context().newCDPSession(page);
    await session.send('Network.clearBrowserCache');
    await page.goto(`${url}/dashboard/`, { waitUntil: 'commit' });
    await page.getByRole('region', { name: 'Needs attention' }).waitFor();
    shown.push(await page.evaluate<number>('performance.now()'));
    paints.push(
      await page.evaluate<number>('performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN'),
    );
    await page.context().close();
  }
  tell('first paint', { median: median(paints), slowest: Math.max(...paints), figuresShown: median(shown) });
}

/** Events at a steady rate, while the list of jobs is looked at. */
async function burst(browser: Browser, page: Page, client: Client, url: string): Promise<void> {
  await page.goto(`${url}/dashboard/jobs`);
  await page.getByRole('region', { name: 'Jobs' }).waitFor();
  await page.evaluate(OBSERVE);
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
  const from = performance.now();
  let created = 0;
  while (performance.now() - from < BURST_MS) {
    const due = Math.ceil(((performance.now() - from) / 1000) * BURST_PER_S) - created;
    if (due > 0) created += await createMany(client, Math.min(due, PART / 4));
    else await page.waitForTimeout(20);
  }
  const perSecond = (created / (performance.now() - from)) * 1000;
  const seen = summaryOf(await seenBy(page));
  tell('burst of events', { perSecond, ...seen, longestTaskCpuMs: longestTask(await browser.stopTracing()) });
}

interface Traced {
  name: string;
  pid: number;
  tid: number;
  args?: { name?: string };
  /** Processor time of a task, in microseconds. */
  tdur?: number;
}

/**
 * Of the page's main thread, in milliseconds of processor time: how long a task lasts is decided as much by who else
 * wants the processor.
 */
function longestTask(trace: Buffer): number {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: Traced[] };
  const threads = traceEvents.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain');
  const isMain = new Set(threads.map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ name, pid, tid }) => name.endsWith('RunTask') && isMain.has(`${pid} ${tid}`));
  return tasks.reduce((longest, { tdur = 0 }) => Math.max(longest, tdur), 0) / 1000;
}

async function longList(page: Page, client: Client, url: string): Promise<void> {
  for (let created = 0; created < ROWS;) created += await createMany(client, PART);
  await page.goto(`${url}/dashboard/jobs?type=measured`);
  await page
    .getByRole('row', { name: /measured/ })
    .first()
    .waitFor();
  await page.evaluate(OBSERVE);
  const from = performance.now();
  const rows = await page.evaluate<number>(`(async () => {
    const list = [...document.querySelectorAll('[role=region][aria-label=Jobs], [role=region][aria-label=Jobs] *')].find((one) => one.scrollHeight > one.clientHeight + 50);
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const rowsOf = () => Number(list.querySelector('[aria-rowcount]')?.getAttribute('aria-rowcount') ?? list.closest('[aria-rowcount]')?.getAttribute('aria-rowcount') ?? 0);
    let height = 0, still = 0;
    while (still < 600) {
      list.scrollTop = list.scrollHeight;
      await frame();
      if (list.scrollHeight === height) still += 1; else { still = 0; height = list.scrollHeight; }
    }
    return rowsOf();
  })()`);
  tell('long list, read to its end', {
    rows,
    seconds: (performance.now() - from) / 1000,
    ...summaryOf(await seenBy(page)),
  });
  await page.evaluate('window.seen.tasks.length = 0, window.seen.frames.length = 0');
  await page.evaluate(`(async () => {
    const list = [...document.querySelectorAll('[role=region][aria-label=Jobs], [role=region][aria-label=Jobs] *')].find((one) => one.scrollHeight > one.clientHeight + 50);
    for (let step = 0; step < 600; step += 1) {
      list.scrollTop = (list.scrollHeight * ((step * 37) % 600)) / 600 + step;
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  })()`);
  const memory = await page.evaluate<number>('performance.memory?.usedJSHeapSize ?? NaN');
  tell('long list, jumped about in', { heapMB: memory / 1e6, ...summaryOf(await seenBy(page)) });
}

async function largeWorkflow(page: Page, client: Client, url: string): Promise<void> {
  const { id } = await client.workflow('measured', (workflow) => {
    for (let n = 0; n < NODES; n += 1) {
      const after = n < NODES / LAYERS ? [] : [workflow.step(`step-${n - NODES / LAYERS}`)];
      workflow.add('measured', {}, { key: `step-${n}`, queue: 'measured', after });
    }
  });
  const from = performance.now();
  await page.goto(`${url}/dashboard/workflows/${id}`, { waitUntil: 'commit' });
  await page.evaluate(OBSERVE);
  await page.locator('.react-flow__node').first().waitFor();
  const shown = performance.now() - from;
  tell('workflow of 10,000, opened', { ms: shown, ...summaryOf(await seenBy(page)) });
  await page.evaluate('window.seen.tasks.length = 0, window.seen.frames.length = 0');
  const canvas = await page.locator('.react-flow').first().boundingBox();
  if (canvas === null) throw new Error('the graph has no box');
  await page.mouse.move(canvas.x + canvas.width / 2, canvas.y + 40);
  for (let turn = 0; turn < 20; turn += 1) await page.mouse.wheel(0, turn % 2 === 0 ? -200 : 200);
  await page.mouse.down();
  for (let step = 0; step < 60; step += 1)
    await page.mouse.move(canvas.x + canvas.width / 2 + step * 3, canvas.y + 40 + step);
  await page.mouse.up();
  tell('workflow of 10,000, zoomed and moved', summaryOf(await seenBy(page)));
}

async function createMany(client: Client, count: number): Promise<number> {
  const made = Array.from({ length: count }, (_, n) => ({ n }));
  await client.createMany('measured', made, { queue: 'measured' });
  return count;
}

const seenBy = (page: Page): Promise<Seen> => page.evaluate<Seen>('window.seen');

function summaryOf({ tasks, frames }: Seen): Record<string, number> {
  const sorted = [...frames].sort((one, other) => one - other);
  return {
    longestTaskMs: Math.max(0, ...tasks),
    tasksOver100Ms: tasks.filter((ms) => ms > 100).length,
    frames: frames.length,
    frameP50Ms: median(frames),
    frameP99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? NaN,
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;
}

function tell(what: string, figures: Record<string, number>): void {
  const text = Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  console.log(`${what}: ${text.join(', ')}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
