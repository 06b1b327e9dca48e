import type { Batch, Job, Schedule, SessionLink, Workflow } from '@baton/runner-sdk/protocol';
import type { Browser } from 'playwright-core';
import { expectStatus } from '../support/api';
import { describeInChromium, launchChromium } from '../support/chromium';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Visitor } from './visitor';

describeInChromium('the screens in a browser', () => {
  let browser: Browser;
  let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
  /** Signed in as the admin. */
  let admin: Visitor;
  const url = () => `${coordinator.url}/dashboard/`;
  const api = () => coordinator.api;

  beforeAll(async () => {
    coordinator = await startCoordinator();
    browser = await launchChromium();
    admin = await Visitor.arrive(browser, url());
    await admin.signIn(coordinator.adminKey);
  });
  afterAll(async () => {
    await admin.leave();
    await browser.close();
    await coordinator.stop();
  });

  /** A job that failed for good, of a type of its own. */
  async function dead(message: string): Promise<Job> {
    const type = uniqueType('dead');
    const { id } = await api().create({ type, maxAttempts: 1, arguments: { host: 'old' } });
    const claimed = await api().claimOne({ runnerId: 'screens', types: [type] });
    await api().complete(claimed, { outcome: 'failed', error: { message, code: 'E_TEST' } });
    return api().job(id);
  }

  test('sign in: a bad key is refused in words, a link works once, and signing out ends it', async () => {
    const visitor = await Visitor.arrive(browser, url());
    await visitor.open('');
    await visitor.page.getByLabel('API key or token').fill('nobody-has-a-key-like-this-one');
    await visitor.button('Sign in').click();
    await visitor.page
      .getByRole('alert')
      .getByText(/unknown, revoked or expired/)
      .waitFor();

    const { path } = expectStatus(await api().post<SessionLink>('/session/links', {}), 201);
    await visitor.page.goto(coordinator.url + path);
    await visitor.page.getByRole('heading', { name: 'Overview' }).waitFor();
    expect(visitor.page.url()).not.toContain('sign-in');
    await visitor.button('Account').click();
    await visitor.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await visitor.button('Sign in').waitFor();
    await visitor.page.goto('about:blank');
    await visitor.page.goto(coordinator.url + path);
    await visitor.page
      .getByRole('alert')
      .getByText(/used already, or has expired/)
      .waitFor();
    await visitor.leave();
  });

  test('overview: tells what needs attention, and a figure leads to its list', async () => {
    const type = uniqueType('failing');
    await api().create({ type, maxAttempts: 1 });
    const claimed = await api().claimOne({ runnerId: 'screens', types: [type] });
    await api().complete(claimed, { outcome: 'failed', error: { message: 'no' } });
    await admin.visit('', 'Overview');
    await admin.page
      .getByRole('region', { name: 'Needs attention' })
      .getByText(/failed for good within the hour/)
      .waitFor();
    await admin.page.locator('dl').getByRole('link').nth(3).click();
    await admin.page.getByRole('heading', { name: 'Jobs' }).waitFor();
    expect(new URL(admin.page.url()).searchParams.get('status')).toBe('failed');
    await admin.page.getByRole('row', { name: new RegExp(type) }).waitFor();
  });

  test('jobs: the filter stands in the address, and rows change as it happens', async () => {
    const type = uniqueType('live');
    await api().create({ type, arguments: { movie: 603 } });
    await admin.visit('jobs', 'Jobs');
    await admin.page.getByLabel('Filter jobs').fill(type);
    await admin.page
      .getByRole('option', { name: `type ${type}` })
      .first()
      .click();
    await admin.page.waitForURL(`**/jobs?type=${type}`);
    const rows = admin.page.getByRole('row', { name: new RegExp(type) });
    await rows.filter({ hasText: 'pending' }).waitFor();
    const claimed = await api().claimOne({ runnerId: 'screens', types: [type] });
    await rows.filter({ hasText: 'running' }).waitFor();
    await api().complete(claimed);
    await rows.filter({ hasText: 'completed' }).waitFor();
    await api().create({ type });
    await rows.filter({ hasText: 'pending' }).waitFor();

    await admin.page.getByLabel('Filter jobs').fill('movie=603');
    await admin.page.getByRole('option', { name: /arguments contain/ }).click();
    await rows.filter({ hasText: 'pending' }).waitFor({ state: 'detached' });
    // The list is read anew with the filter.
    await eventually(
      () => rows.count(),
      (count) => count === 1,
      30_000,
    );
  });

  test('jobs: many are cancelled after a count, with an undo', async () => {
    const type = uniqueType('many');
    for (let nth = 0; nth < 3; nth += 1) await api().create({ type });
    await admin.visit(`jobs?type=${type}`, 'Jobs');
    await admin.page
      .getByRole('row', { name: new RegExp(type) })
      .nth(2)
      .waitFor();
    await admin.page.getByLabel('Select all that are shown').check();
    await admin.page.getByRole('region', { name: 'Selected jobs' }).getByRole('button', { name: 'Cancel' }).click();
    await admin.page.getByRole('dialog', { name: 'Cancel 3 jobs?' }).waitFor();
    await admin.inDialog('Cancel 3').click();
    await admin.button('Undo').click();
    await admin.sees('Undone.');
    const { body } = await api().get<{ items: Job[] }>(`/jobs?type=${type}`);
    expect(body.items.map(({ status }) => status)).toEqual(['pending', 'pending', 'pending']);
  });

  test('a job: shows what happened, its logs as they come, and is tried again with other arguments', async () => {
    const job = await dead('the host is gone');
    await admin.visit(`jobs/${job.id}`, job.type);
    await admin.page.getByRole('region', { name: 'What it failed with' }).getByText('the host is gone').waitFor();
    await admin.sees('Attempt 1 failed');
    await admin.button('Retry with other arguments').click();
    await admin.page.getByRole('dialog').getByLabel('Arguments').fill('{"host":');
    expect(await admin.inDialog('Retry').isDisabled()).toBe(true);
    await admin.page.getByRole('dialog').getByLabel('Arguments').fill('{"host":"new"}');
    await admin.inDialog('Retry').click();
    await admin.page.getByRole('region', { name: 'Why it waits' }).waitFor();
    const claimed = await api().claimOne({ runnerId: 'screens', types: [job.type] });
    expect(claimed.arguments).toEqual({ host: 'new' });
    await api().post(`/jobs/${job.id}/heartbeat`, {
      leaseToken: claimed.leaseToken,
      logs: [{ level: 'warn', message: 'a line as it is written' }],
    });
    await admin.page.getByRole('log').getByText('a line as it is written').waitFor();
    await api().complete(claimed, { outcome: 'completed', result: { sent: 'yes' } });
    await admin.sees('Attempt 2 completed');
  });

  test('new job: JSON is checked as it is typed, and a refusal stands at its field', async () => {
    const type = uniqueType('made');
    await admin.visit('jobs/new', 'New job');
    await admin.page.getByRole('combobox', { name: 'Type' }).fill(type);
    await admin.page.getByRole('textbox', { name: 'Arguments' }).fill('{"a": 1,}');
    await admin.sees(/JSON/);
    expect(await admin.button('Create the job').isDisabled()).toBe(true);
    await admin.page.getByRole('textbox', { name: 'Arguments' }).fill('{"a": 1}');
    await admin.button('User, tags and metadata').click();
    await admin.page.getByLabel('Callback').fill('not an address');
    await admin.button('Create the job').click();
    await admin.sees(/must be an http or https URL/);
    await admin.page.getByLabel('Callback').fill('');
    await admin.button('Create the job').click();
    await admin.page.getByRole('heading', { name: type }).waitFor();
    const [created] = expectStatus(await api().get<{ items: Job[] }>(`/jobs?type=${type}`), 200).items;
    expect(created).toMatchObject({ type, arguments: { a: 1 }, status: 'pending' });
  });

  test('schedules: made in the form of a job, run now and paused', async () => {
    const type = uniqueType('ticking');
    const name = uniqueType('schedule');
    await admin.visit('jobs/new?schedule', 'New schedule');
    await admin.page.getByRole('combobox', { name: 'Type' }).fill(type);
    await admin.page.getByLabel('Name').fill(name);
    await admin.page.getByLabel('Cron expression').fill('15 7 * * 1');
    await admin.sees(/At 07:15, only on Monday/);
    await admin.sees(/Next: /);
    await admin.button('Create the schedule').click();
    await admin.page.getByRole('heading', { name }).waitFor();
    await admin.button('Run now').click();
    await admin.page.getByRole('row', { name: /created/ }).waitFor();
    await admin.button('Pause').click();
    await admin.inDialog('Pause').click();
    await admin.button('Resume').waitFor();
    const { items } = expectStatus(await api().get<{ items: Schedule[] }>(`/schedules?name=${name}`), 200);
    expect(items).toMatchObject([{ name, status: 'paused', cron: '15 7 * * 1' }]);
  });

  test('batches: counted as they go, what failed is retried, the rest cancelled', async () => {
    const type = uniqueType('part');
    const name = uniqueType('batch');
    const { id } = expectStatus(
      await api().post<Batch>('/batches', {
        name,
        jobs: [1, 2, 3].map((n) => ({ type, arguments: { n }, maxAttempts: 1 })),
        onComplete: { type: uniqueType('after') },
      }),
      201,
    );
    await admin.visit('batches', 'Batches');
    await admin.page.getByRole('link', { name }).click();
    await admin.page.getByRole('heading', { name }).waitFor();
    const first = await api().claimOne({ runnerId: 'screens', types: [type] });
    await api().complete(first, { outcome: 'completed', result: { found: 'gold' } });
    const second = await api().claimOne({ runnerId: 'screens', types: [type] });
    await api().complete(second, { outcome: 'failed', error: { message: 'the vein ended' } });
    await admin.sees('66 % of 3 jobs ended');
    await admin.page.getByRole('row', { name: /gold/ }).waitFor();
    await admin.page.getByRole('row', { name: /the vein ended/ }).waitFor();
    await admin.button('Retry the failed').click();
    await admin.inDialog('Retry 1').click();
    await admin.sees('33 % of 3 jobs ended');
    await admin.button('Cancel').click();
    await admin.page.getByRole('dialog').getByLabel('Reason').fill('dug deep enough');
    await admin.inDialog('Cancel the batch').click();
    await admin.sees('100 % of 3 jobs ended');
    await admin.sees('dug deep enough');
    expect((await api().get<Batch>(`/batches/${id}`)).body).toMatchObject({
      status: 'cancelled',
      counts: { completed: 1, cancelled: 2 },
    });
  });

  test('workflows: the graph goes along, a gate is opened, what failed is retried', async () => {
    const type = uniqueType('step');
    const { id } = expectStatus(
      await api().post<Workflow>('/workflows', {
        name: uniqueType('release'),
        jobs: {
          build: { type, maxAttempts: 1 },
          approve: { gate: {}, dependsOn: ['build'] },
          ship: { type, maxAttempts: 1, dependsOn: ['approve'] },
        },
      }),
      201,
    );
    await admin.visit('workflows', 'Workflows');
    await admin.page
      .getByRole('link', { name: /^release-/ })
      .first()
      .click();
    const graph = admin.page.getByRole('application').or(admin.page.locator('.react-flow'));
    await graph.first().waitFor();
    await admin.page.getByLabel('build: pending').waitFor();
    await api().complete(await api().claimOne({ runnerId: 'screens', types: [type] }));
    await admin.page.getByLabel('build: completed').waitFor();
    await admin.visit('', 'Overview');
    const concerns = admin.page.getByRole('region', { name: 'Needs attention' });
    await concerns.getByText(/^The workflow release-.* waits for a decision/).waitFor();
    await concerns.getByRole('link', { name: 'Decide' }).click();
    await admin.button('Open').click();
    await admin.page.getByRole('dialog').getByLabel('Result').fill('{"by": "ann"}');
    await admin.inDialog('Open the gate').click();
    await admin.page.getByLabel('ship: pending').waitFor();
    const ship = await api().claimOne({ runnerId: 'screens', types: [type] });
    await api().complete(ship, { outcome: 'failed', error: { message: 'the port was closed' } });
    await admin.page.getByLabel('ship: failed').click();
    await admin.sees('1 chosen job');
    await admin.button('Retry from where it failed').click();
    await admin.page.getByLabel('ship: pending').waitFor();
    expect((await api().get<Workflow>(`/workflows/${id}`)).body).toMatchObject({
      status: 'running',
      counts: { completed: 2, pending: 1 },
    });
  });

  test('workflows: one of thousands is drawn by layers', async () => {
    const type = uniqueType('wide');
    const jobs = Object.fromEntries(
      Array.from({ length: 1200 }, (_, n) => [`n${n}`, { type, ...(n < 400 ? {} : { dependsOn: [`n${n - 400}`] }) }]),
    );
    const { id } = expectStatus(await api().post<Workflow>('/workflows', { name: 'wide', jobs }), 201);
    await admin.visit(`workflows/${id}`, 'wide');
    await admin.page.getByLabel('Layer 2: 400 jobs').click();
    await admin.sees('400 chosen jobs');
    await admin.page.getByRole('link', { name: 'n400', exact: true }).waitFor();
    expectStatus(await api().post(`/workflows/${id}/cancel`, {}), 200);
  });

  test('queues: paused with a reason, limited, resumed', async () => {
    const queue = uniqueType('queue');
    await api().create({ type: uniqueType(), queue });
    await admin.visit(`queues/${queue}`, `Queue ${queue}`);
    await admin.button('Pause').click();
    await admin.page.getByRole('dialog').getByLabel('Reason').fill('the mail server moves');
    await admin.inDialog('Pause').click();
    await admin.sees(/the mail server moves/);
    await admin.button('Limits').click();
    await admin.page.getByRole('dialog').getByLabel('Running at once', { exact: true }).fill('7');
    await admin.inDialog('Save').click();
    await admin.sees(/7 at once/);
    await admin.button('Resume').click();
    await admin.button('Pause').waitFor();
  });

  test('runners: drained and resumed', async () => {
    const runnerId = uniqueType('runner');
    await api().claim({ runnerId, types: [uniqueType()], labels: { region: 'eu' } });
    await admin.visit('runners', 'Runners');
    const row = admin.page.getByRole('row', { name: new RegExp(runnerId) });
    await row.getByText('region eu').waitFor();
    await admin.button(`Drain ${runnerId}`).click();
    await admin.inDialog('Drain').click();
    await row.getByText('draining').waitFor();
    await admin.button(`Resume ${runnerId}`).click();
    await row.getByText('active').waitFor();
  });

  test('dead letters: a kind of failure is retried as one', async () => {
    const job = await dead(`${uniqueType('broken')} did not answer`);
    await admin.visit('dead-letters', 'Dead letters');
    const group = admin.page.getByRole('listitem').filter({ hasText: job.type });
    await group.getByRole('button', { name: 'Retry', exact: true }).click();
    await admin.inDialog('Retry 1').click();
    await group.waitFor({ state: 'detached' });
    expect((await api().job(job.id)).status).toBe('pending');
  });

  test('analytics: by type, with the range in the address', async () => {
    await admin.visit('analytics', 'Analytics');
    await admin.page.getByText('Type', { exact: true }).first().click();
    await admin.page.getByText('1h', { exact: true }).first().click();
    await admin.page.waitForURL(/by=type.*range=1h|range=1h.*by=type/);
    await admin.page.getByRole('table', { name: '' }).or(admin.page.getByText('Nothing ended')).first().waitFor();
  });

  test('alerts, webhooks and keys are made; a key is shown once, and the audit tells of it', async () => {
    const name = uniqueType('alert');
    await admin.visit('alerts', 'Alerts');
    await admin.button('New alert').click();
    const dialog = admin.page.getByRole('dialog');
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByLabel('Fires over').fill('12');
    await admin.inDialog('Save').click();
    await admin.page
      .getByRole('row', { name: new RegExp(name) })
      .getByText(/over 12 %/)
      .waitFor();

    await admin.visit('webhooks', 'Webhooks');
    await admin.button('New webhook').click();
    await dialog.getByLabel('Address').fill('https://hooks.example.com/baton');
    await admin.inDialog('Save').click();
    await admin.page
      .getByRole('dialog', { name: 'The secret' })
      .getByText(/^whsec_/)
      .waitFor();
    await admin.inDialog('I have kept it').click();
    await admin.page.getByRole('row', { name: /hooks\.example\.com/ }).waitFor();

    const keyName = uniqueType('key');
    await admin.visit('api-keys', 'API keys');
    await admin.button('New key').click();
    await dialog.getByLabel('Name').fill(keyName);
    await admin.inDialog('Make the key').click();
    const shown = admin.page.getByRole('dialog', { name: 'The new key' });
    const key = await shown.getByText(/^baton_/).innerText();
    expectStatus(await api().as(key).get('/session'), 200);
    await admin.inDialog('I have kept it').click();
    await admin.button(`Revoke ${keyName}`).click();
    await admin.inDialog('Revoke the key').click();
    await admin.page
      .getByRole('row', { name: new RegExp(keyName) })
      .getByText('revoked')
      .waitFor();
    await eventually(async () => (await api().as(key).get('/session')).status === 401);

    await admin.visit('audit?action=key.revoked', 'Audit');
    await admin.page
      .getByRole('row', { name: /key\.revoked/ })
      .first()
      .waitFor();
  });

  test('system: tells settings in force, versions and migrations', async () => {
    await admin.visit('system', 'System');
    await admin.page.getByRole('row', { name: /BATON_MAX_SOCKETS_PER_KEY.*\d/ }).waitFor();
    await admin.page.getByRole('row', { name: /0001_baton/ }).waitFor();
  });

  test('the keyboard is enough: palette, screens, rows', async () => {
    const type = uniqueType('keyed');
    const { id } = await api().create({ type });
    await admin.visit(`jobs?type=${type}`, 'Jobs');
    await admin.page.getByRole('row', { name: new RegExp(type) }).waitFor();
    await admin.page.getByRole('region', { name: 'Jobs' }).focus();
    await admin.page.keyboard.press('j');
    await admin.page.keyboard.press('Enter');
    await admin.page.getByRole('heading', { name: type }).waitFor();
    await admin.page.locator('body').press('g');
    await admin.page.keyboard.press('q');
    await admin.page.getByRole('heading', { name: 'Queues' }).waitFor();
    await admin.page.keyboard.press('Control+K');
    await admin.page.locator('input[aria-label="Search or go to"]').fill(id);
    await admin.page.keyboard.press('Enter');
    await admin.page.getByRole('heading', { name: type }).waitFor();
  });

  describe('roles', () => {
    const visitorOf = async (role: 'viewer' | 'runner' | 'user'): Promise<Visitor> => {
      const key = await api().makeKey({ name: role, role, ...(role === 'user' ? { userId: 'ann' } : {}) });
      const visitor = await Visitor.arrive(browser, url());
      await visitor.open('');
      await visitor.page.getByLabel('API key or token').fill(key);
      await visitor.button('Sign in').click();
      return visitor;
    };

    test('a viewer sees, and is offered nothing to do', async () => {
      const job = await dead('for the viewer');
      const visitor = await visitorOf('viewer');
      await visitor.page.getByRole('heading', { name: 'Overview' }).waitFor();
      const names = await visitor.page.getByRole('navigation', { name: 'Screens' }).getByRole('link').allInnerTexts();
      expect(names).toContain('Queues');
      for (const name of ['API keys', 'Audit', 'Webhooks']) expect(names).not.toContain(name);
      await visitor.visit(`jobs/${job.id}`, job.type);
      for (const name of ['Retry', 'Retry with other arguments', 'New job'])
        expect(await visitor.button(name).count()).toBe(0);
      await visitor.visit('queues', 'Queues');
      expect(await visitor.button(/^(Pause|Resume)/).count()).toBe(0);
      await visitor.visit('api-keys', 'Not found');
      expect(visitor.calls.filter((call) => call.includes('/api-keys'))).toEqual([]);
      await visitor.leave();
    });

    test('a user sees its own jobs alone', async () => {
      const own = await api().create({ type: uniqueType('own'), userId: 'ann' });
      const other = await api().create({ type: uniqueType('other'), userId: 'ben' });
      const visitor = await visitorOf('user');
      await visitor.page.getByRole('heading', { name: 'Overview' }).waitFor();
      const names = await visitor.page.getByRole('navigation', { name: 'Screens' }).getByRole('link').allInnerTexts();
      for (const name of ['Queues', 'Runners', 'Alerts', 'API keys', 'Audit', 'System'])
        expect(names).not.toContain(name);
      await visitor.visit('jobs', 'Jobs');
      await visitor.page.getByRole('row', { name: new RegExp(own.type) }).waitFor();
      expect(await visitor.page.getByRole('row', { name: new RegExp(other.type) }).count()).toBe(0);
      await visitor.open(`jobs/${other.id}`);
      await visitor.page
        .getByRole('alert')
        .getByText(/There is no job/)
        .waitFor();
      await visitor.leave();
    });

    test("a runner's key has nothing to see", async () => {
      const visitor = await visitorOf('runner');
      await visitor.sees('This key is for runners.');
      await visitor.leave();
    });
  });
});
