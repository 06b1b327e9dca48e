import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Job } from '@baton/runner-sdk/protocol';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { isThere, runShell } from '../docs/process';
import { describeInChromium, launchChromium } from '../support/chromium';
import { startCoordinator } from '../support/coordinator';

// The reference as a person meets it: in a browser, under the coordinator's policy, with no other host in reach.

const ROOT = join(__dirname, '..', '..');

const hasRequests = spawnSync('python3', ['-c', 'import requests'], { stdio: 'ignore' }).status === 0;

describeInChromium('GET /docs in a browser', () => {
  let browser: Browser;
  let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
  let context: BrowserContext;
  let page: Page;
  /** What the browser complained of, and what it asked other hosts for. */
  let faults: string[];

  beforeAll(async () => {
    coordinator = await startCoordinator();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser.close();
    await coordinator.stop();
  });

  beforeEach(async () => {
    faults = [];
    context = await browser.newContext();
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: coordinator.url });
    await context.route(
      (url) => url.origin !== coordinator.url,
      async (route) => {
        faults.push(`asked for ${route.request().url()}`);
        await route.abort();
      },
    );
    page = await context.newPage();
    page.on('console', (message) => {
      // A refused call is shown on the page; Chromium writes it to the console too.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
        faults.push(message.text());
    });
    page.on('pageerror', (error) => faults.push(String(error)));
    await page.goto(`${coordinator.url}/docs`);
  });
  afterEach(async () => {
    await context.close();
    expect(faults).toEqual([]);
  });

  const item = (operation: string) => page.locator(`#${operation}`);

  async function enterKey(key: string): Promise<void> {
    await page.locator('#key').fill(key);
    await page.locator('#key').press('Enter');
  }

  /** Opens the form of an operation, fills in what is given, and sends. Resolves to status and text of the answer. */
  async function call(
    operation: string,
    { fields = {}, body }: { fields?: Record<string, string>; body?: unknown } = {},
  ): Promise<{ status: number; text: string }> {
    if ((await item(operation).locator('.call').count()) === 0) await item(operation).locator('.try').click();
    for (const [name, value] of Object.entries(fields))
      await item(operation).locator(`input[name="${name}"]`).fill(value);
    if (body !== undefined) await item(operation).locator('textarea').fill(JSON.stringify(body));
    // What an earlier call brought.
    await item(operation)
      .locator('.outcome')
      .evaluate((outcome) => outcome.replaceChildren());
    await item(operation).locator('.send').click();
    await item(operation).locator('.outcome .status').waitFor();
    return {
      status: Number(await item(operation).locator('.outcome .status').textContent()),
      text: (await item(operation).locator('.outcome code').textContent()) ?? '',
    };
  }

  test('the key is judged, kept while the tab is, and forgotten', async () => {
    const who = page.locator('.who');
    await enterKey('nobody-has-a-key-like-this-one');
    await who.getByText('This key is not accepted.').waitFor();
    await enterKey(coordinator.adminKey);
    await who.getByText(/Calls are made as .* \(admin\)/).waitFor();
    await page.reload();
    await who.getByText(/Calls are made as .* \(admin\)/).waitFor();
    expect(await page.evaluate('JSON.stringify([localStorage.length, document.cookie, location.href])')).toBe(
      JSON.stringify([0, '', `${coordinator.url}/docs`]),
    );
    await page.getByRole('button', { name: 'Forget' }).click();
    expect(await page.locator('#key').inputValue()).toBe('');
    await page.reload();
    expect(await page.locator('#key').inputValue()).toBe('');
  });

  test('calls are run as they stand there: create, read, refuse, delete', async () => {
    expect((await call('createJob')).status).toBe(401);
    await enterKey(coordinator.adminKey);
    const created = await call('createJob');
    expect(created.status).toBe(201);
    const job = JSON.parse(created.text) as Job;
    expect(await coordinator.api.job(job.id)).toMatchObject({ status: 'pending', type: job.type });

    const read = await call('getJob', { fields: { id: job.id } });
    expect([read.status, (JSON.parse(read.text) as Job).id]).toEqual([200, job.id]);
    const listed = await call('listJobs');
    expect(listed.text).toContain(job.id);
    const refused = await call('createJob', { body: { typ: 'x' } });
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('did you mean type?')]);
    const { status, text } = await call('cancelJob', { fields: { id: job.id }, body: { reason: 'by the page' } });
    expect([status, JSON.parse(text)]).toEqual([200, expect.objectContaining({ reason: 'by the page' })]);
  });

  test('a stream is shown as it comes, until it is stopped', async () => {
    await enterKey(coordinator.adminKey);
    const stream = item('streamEvents');
    await stream.locator('.try').click();
    await stream.locator('.send').click();
    await stream.locator('.outcome .status').getByText('200').waitFor();
    const { id } = await coordinator.api.create({ type: 'seen-on-the-page' });
    await stream.locator('.outcome code').getByText(id).waitFor();
    await stream.locator('.stop').click();
    await stream.getByText('Stopped.').waitFor();
  });

  test('the language of the samples is chosen once for all, and their address is this coordinator', async () => {
    const tab = (name: string) => item('getJob').getByRole('tab', { name });
    const shown = item('getJob').locator('.sample:visible');
    expect(await shown.textContent()).toContain(`curl "${coordinator.url}/jobs/`);
    await tab('Python').click();
    expect(await tab('Python').getAttribute('aria-selected')).toBe('true');
    expect(await shown.textContent()).toContain('requests.get(');
    expect(await item('createJob').locator('.sample:visible').textContent()).toContain('requests.post(');
    await page.reload();
    expect(await shown.textContent()).toContain('requests.get(');
    await tab('TypeScript').click();
    expect(await shown.textContent()).toContain("from '@baton/runner-sdk'");
    await item('getJob').locator('.sample:visible .copy').click();
    expect(await page.evaluate('navigator.clipboard.readText()')).toContain("from '@baton/runner-sdk'");
    expect(await page.locator('main').textContent()).not.toContain('http://127.0.0.1:3001');
  });

  test('the search narrows the menu, and Enter goes there', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('rotate key');
    const found = page.locator('nav .group li:visible a');
    expect(await found.filter({ hasText: '/api-keys/{id}/rotate' }).count()).toBe(1);
    expect(await found.filter({ hasText: '/schedules' }).count()).toBe(0);
    const first = (await found.first().getAttribute('href')) ?? '';
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/docs${first}`);
    await page.locator('#search').fill('zzyzx');
    await page.getByText('No operation or shape contains all of these words.').waitFor();
  });

  test('without scripts it can be read', async () => {
    const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await plain.goto(`${coordinator.url}/docs`);
    expect(await plain.locator('#createJob .sample:visible').count()).toBe(3);
    expect(await plain.locator('.try:visible, #key:visible, .tabs:visible').count()).toBe(0);
    await plain.context().close();
  });

  test('nothing on it stands in the way of those who do not see it', async () => {
    await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const violations = await page.evaluate(
      'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + nodes[0].html))',
    );
    expect(violations).toEqual([]);
  });

  describe('samples, copied from the page, do what they say', () => {
    const sample = async (operation: string, language: string): Promise<string> => {
      await item(operation).locator(`.tabs [data-language="${language}"]`).click();
      return (await item(operation).locator('.sample:visible code').textContent()) ?? '';
    };
    const env = (): Record<string, string> => ({ KEY: coordinator.adminKey });

    (isThere('curl') ? test : test.skip)('in curl', async () => {
      const { stdout } = await runShell(await sample('createJob', 'shell'), env(), ROOT);
      expect(JSON.parse(stdout)).toMatchObject({ status: 'pending' });
      const { stdout: list } = await runShell(await sample('listJobs', 'shell'), env(), ROOT);
      expect(JSON.parse(list)).toMatchObject({ items: expect.any(Array) });
    });

    test('in TypeScript', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'baton-sample-'));
      symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
      const code = `${await sample('listQueues', 'typescript')}\nconsole.log(JSON.stringify(queues));\nawait client.close();\n`;
      writeFileSync(join(folder, 'sample.mts'), code);
      const { stdout, status } = await runShell(`"${process.execPath}" --import tsx sample.mts`, env(), folder);
      expect(JSON.parse(stdout)).toEqual(expect.any(Object));
      expect(status).toBe(0);
      rmSync(folder, { recursive: true });
    });

    (hasRequests ? test : test.skip)('in Python', async () => {
      const { stdout, status } = await runShell(
        `python3 - <<'END'\n${await sample('createJob', 'python')}\nprint(answer.status_code)\nEND`,
        env(),
        ROOT,
      );
      expect([status, stdout.trim().split('\n').at(-1)]).toEqual([0, '201']);
    });
  });
});
