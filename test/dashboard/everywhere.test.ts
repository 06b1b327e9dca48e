import type { Batch, Schedule, Webhook, Workflow } from '@baton/runner-sdk/protocol';
import type { Browser } from 'playwright-core';
import { expectStatus } from '../support/api';
import { describeInChromium, launchChromium } from '../support/chromium';
import { startCoordinator } from '../support/coordinator';
import { startTcpProxy } from '../support/tcp-proxy';
import { uniqueType } from '../support/factory';
import { Visitor } from './visitor';

/** What would run, or break out of its place, if a screen put text into the page as markup. */
const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(2)</script>',
  'javascript:alert(3)',
  "'--><svg/onload=alert(4)>",
  '{{7*7}}',
  '\u202egpj.exe\u0007',
  '__proto__',
];

describeInChromium('every screen in a browser', () => {
  let browser: Browser;
  let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
  /** Each screen by its path, with what must stand on it. */
  let screens: [path: string, title: RegExp][];
  const url = () => `${coordinator.url}/dashboard/`;
  const api = () => coordinator.api;

  beforeAll(async () => {
    coordinator = await startCoordinator();
    browser = await launchChromium();
    screens = await fill();
  });
  afterAll(async () => {
    await browser.close();
    await coordinator.stop();
  });

  /** Something on every screen, with hostile text wherever the API takes text. */
  async function fill(): Promise<[string, RegExp][]> {
    const text = HOSTILE.join(' ');
    const type = uniqueType('shown');
    const made = await api().create({
      type,
      queue: 'shown',
      arguments: Object.fromEntries(HOSTILE.map((one, nth) => [`${nth} ${one}`, one])),
      metadata: { note: HOSTILE },
      tags: [text.slice(0, 60)],
      userId: text.slice(0, 100),
      maxAttempts: 1,
    });
    const claimed = await api().claimOne({
      runnerId: text.slice(0, 80),
      types: [type],
      queues: ['shown'],
      labels: { zone: text.slice(0, 60) },
    });
    await api().post(`/jobs/${made.id}/heartbeat`, {
      leaseToken: claimed.leaseToken,
      progress: { percent: 40, message: text },
      logs: HOSTILE.map((message) => ({ level: 'error', message })),
    });
    await api().complete(claimed, {
      outcome: 'failed',
      error: { message: text, code: 'E_HOSTILE', stack: `Error: ${text}\n    at ${text}` },
    });
    const waits = await api().create({ type: uniqueType('waits'), queue: 'shown', dependsOn: [made.id] });
    await api().call('post', '/queues/shown/pause', { json: { reason: text } });
    const schedule = expectStatus(
      await api().post<Schedule>('/schedules', {
        name: 'nightly',
        cron: '0 2 * * *',
        job: { type, arguments: { text } },
      }),
      201,
    );
    const webhook = expectStatus(
      await api().post<Webhook>('/webhooks', {
        url: 'https://hooks.example.com/?q=%3Cscript%3E',
        events: ['job.failed'],
        description: text,
      }),
      201,
    );
    expectStatus(await api().post('/alerts', { name: text, measure: 'depth', threshold: 1 }), 201);
    expectStatus(await api().post('/api-keys', { name: text, role: 'viewer' }), 201);
    const batch = expectStatus(
      await api().post<Batch>('/batches', { name: text, metadata: { text }, jobs: [{ type, arguments: { text } }] }),
      201,
    );
    expectStatus(await api().post(`/batches/${batch.id}/cancel`, { reason: text }), 200);
    const workflow = expectStatus(
      await api().post<Workflow>('/workflows', {
        name: 'shown',
        userId: text.slice(0, 100),
        jobs: { first: { type, arguments: { text } }, approve: { gate: {}, dependsOn: ['first'] }, ask: { gate: {} } },
      }),
      201,
    );
    return [
      ['', /^Overview$/],
      ['jobs', /^Jobs$/],
      [`jobs/${made.id}`, new RegExp(type)],
      [`jobs/${waits.id}`, /waits/],
      ['jobs/new', /^New job$/],
      ['jobs/new?schedule', /^New schedule$/],
      ['schedules', /^Schedules$/],
      [`schedules/${schedule.id}`, /^nightly$/],
      ['workflows', /^Workflows$/],
      [`workflows/${workflow.id}`, /^shown$/],
      ['batches', /^Batches$/],
      [`batches/${batch.id}`, /onerror/],
      ['dead-letters', /^Dead letters$/],
      ['queues', /^Queues$/],
      ['queues/shown', /^Queue shown$/],
      ['runners', /^Runners$/],
      ['analytics', /^Analytics$/],
      ['alerts', /^Alerts$/],
      ['webhooks', /^Webhooks$/],
      [`webhooks/${webhook.id}`, /hooks\.example\.com/],
      ['api-keys', /^API keys$/],
      ['audit', /^Audit$/],
      ['system', /^System$/],
    ];
  }

  test.each([
    ['light', 1360],
    ['dark', 1360],
    ['light', 390],
  ] as const)(
    'runs nothing of what is stored, and axe finds nothing, %s at %i pixels',
    async (colorScheme, width) => {
      const visitor = await Visitor.arrive(browser, url(), { colorScheme, viewport: { width, height: 850 } });
      await visitor.signIn(coordinator.adminKey);
      const found: string[] = [];
      for (const [path, title] of screens) {
        await visitor.visit(path, title);
        found.push(...(await visitor.violations()).map((violation) => `/${path} ${violation}`));
        // Nothing may be wider than the window: it would scroll the whole page sideways.
        const overflow = await visitor.page.evaluate<number>(
          'document.documentElement.scrollWidth - window.innerWidth',
        );
        if (overflow > 0) found.push(`/${path} is ${overflow} pixels too wide`);
        const injected = visitor.page.locator('main script, main img, main svg[onload], main a[href^="javascript"]');
        if ((await injected.count()) > 0) found.push(`/${path} has ${await injected.first().innerHTML()}`);
      }
      expect(found).toEqual([]);
      await visitor.leave();
    },
    240_000,
  );

  test('a lost connection is shown, and heals', async () => {
    const proxy = await startTcpProxy({ host: '127.0.0.1', port: Number(new URL(coordinator.url).port) });
    const visitor = await Visitor.arrive(browser, `http://127.0.0.1:${proxy.port}/dashboard/`);
    await visitor.signIn(coordinator.adminKey);
    await visitor.visit('jobs', 'Jobs');
    proxy.cut();
    await visitor.sees(/The connection to the coordinator is lost/);
    proxy.heal();
    await visitor.page.getByRole('button', { name: 'Try now' }).click();
    await visitor.page.getByText(/The connection to the coordinator is lost/).waitFor({ state: 'hidden' });
    const type = uniqueType('after-the-cut');
    await api().create({ type });
    await visitor.page.getByRole('row', { name: new RegExp(type) }).waitFor();
    await visitor.leave();
    await proxy.stop();
  });

  test('a tab that nobody looks at asks nothing, and one that somebody does asks', async () => {
    const visitor = await Visitor.arrive(browser, url());
    await visitor.page.clock.install();
    await visitor.signIn(coordinator.adminKey);
    await visitor.visit('', 'Overview');
    const asked = async (visibility: 'hidden' | 'visible'): Promise<string[]> => {
      await visitor.page.evaluate(
        `Object.defineProperty(document, 'visibilityState', { value: '${visibility}', configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`,
      );
      const before = visitor.calls.length;
      await visitor.page.clock.fastForward(120_000);
      // Whatever the timers that have passed began stands in the page by then.
      await visitor.page.evaluate('new Promise((resolve) => requestAnimationFrame(resolve))');
      return visitor.calls.slice(before);
    };
    expect(await asked('hidden')).toEqual([]);
    expect(await asked('visible')).toContain('GET /stats');
    await visitor.leave();
  });
});
