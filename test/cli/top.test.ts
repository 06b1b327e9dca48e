import { readFileSync } from 'node:fs';
import type { Job, Queue } from '@baton/runner-sdk/protocol';
import { Cli } from '../../cli/cli';
import { readEnvironment } from '../../cli/config';
import { draw, type Picture } from '../../cli/commands/top/picture';
import { read } from '../../cli/commands/top/model';
import { widthOf } from '../../cli/terminal/text';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { PROGRAM, Shell } from './support/command';
import { describeInTmux, Tmux } from './support/tmux';

type Started = Awaited<ReturnType<typeof startCoordinator>>;
let coordinator: Started;
let shell: Shell;

beforeAll(async () => {
  coordinator = await startCoordinator();
  shell = new Shell({ COORDINATOR_URL: coordinator.url, BATON_KEY: coordinator.adminKey });
  await coordinator.api.create({ type: 'WAITING', queue: 'busy', arguments: { n: 1 } });
  await coordinator.api.create({ type: 'WAITING', queue: 'busy', arguments: { n: 2 }, priority: 1 });
  await coordinator.api.create({ type: 'OTHER', queue: 'calm' });
  await coordinator.api.post('/jobs/claim', { runnerId: 'worker-1', types: ['OTHER'] });
});

afterAll(() => coordinator.stop());

test('needs a terminal', async () => {
  const { code, stderr } = await shell.run(['top']);
  expect([code, stderr]).toEqual([2, expect.stringContaining('needs a terminal')]);
});

test('fits every size of a screen, whatever is on it', async () => {
  const cli = new Cli(readEnvironment({ FORCE_COLOR: '1', ...shell.environment }), process);
  const client = await cli.client();
  try {
    const views: Picture['view'][] = [
      { kind: 'overview', focus: 'queues' },
      { kind: 'jobs', title: 'Jobs of queue busy', filter: { queue: 'busy' } },
      { kind: 'job', id: (await client.list({ limit: 1 })).items[0]?.id ?? '' },
    ];
    for (const view of views) {
      const reading = await read(client, view);
      for (const columns of [10, 33, 80, 200]) {
        for (const rows of [1, 3, 8, 24]) {
          const picture = { view, reading, chosen: 'busy', scroll: 0, message: null, title: 'a title that is long' };
          const lines = draw(cli, picture, { columns, rows });
          expect(lines).toHaveLength(rows);
          const widths = lines.map((line) => widthOf(line.replace(/\u001b\[\d+m/g, '')));
          expect(Math.max(...widths)).toBeLessThanOrEqual(columns);
        }
      }
    }
  } finally {
    await cli.close();
  }
});

describeInTmux('in a terminal', () => {
  let tmux: Tmux;

  // One each: what a test leaves on its screen is not the next one's.
  beforeEach(async () => {
    tmux = await Tmux.start(shell.folder, shell.environment, 100, 24);
  });
  afterEach(() => tmux.stop());

  const start = async () => {
    await tmux.type(`echo before; ${process.execPath} ${PROGRAM} top --interval 200ms; echo "ended with $?"`);
    return tmux.shows(/QUEUE[\s\S]*busy[\s\S]*RUNNER[\s\S]*worker-1/);
  };
  /** The former content is there, the cursor too, and what is typed is shown. */
  const isClean = async (ended: RegExp) => {
    await tmux.shows(ended);
    expect([await tmux.ask('alternate_on'), await tmux.ask('cursor_flag')]).toEqual(['0', '1']);
    await tmux.type('echo "typed $((40 + 2))"');
    const screen = (await tmux.shows(/^typed 42$/m)).join('\n');
    expect(screen).toMatch(/echo "typed/);
    expect(screen).not.toContain('RUNNER');
    await tmux.type('clear');
  };

  test('shows queues and runners, follows what happens, and changes them with keys', async () => {
    const screen = await start();
    expect(screen[0]).toMatch(/^baton top {2}http/);
    expect(screen.join('\n')).toMatch(/pending 2 .*running 1[\s\S]*oldest waits[\s\S]*busy +2 +0[\s\S]*calm +0 +1/);
    expect([await tmux.ask('alternate_on'), await tmux.ask('cursor_flag')]).toEqual(['1', '0']);

    await coordinator.api.create({ type: 'WAITING', queue: 'busy' });
    await tmux.shows(/busy +3 +0/);

    const paused = async () => (await coordinator.api.get<Queue>('/queues/busy')).body.paused;
    await tmux.press('p');
    await tmux.shows(/Pause queue busy\? \[y\/N\]/);
    await tmux.press('n');
    await tmux.shows(/p pause\/resume/);
    expect(await paused()).toBeNull();
    await tmux.press('p', 'y');
    await tmux.shows(/busy +3 .*paused: baton top[\s\S]*busy is paused/);
    expect(await paused()).not.toBeNull();
    await tmux.press('p', 'y');
    // The next key is pressed when the result is shown: one that came after it would stand over the keys.
    await tmux.shows(/busy is resumed/);
    expect(await paused()).toBeNull();

    await tmux.press('Tab');
    await tmux.shows(/d drain\/resume/);
    await tmux.press('d', 'y');
    await tmux.shows(/worker-1 +draining[\s\S]*worker-1 drains/);

    await tmux.press('Tab', 'Enter');
    const jobs = await tmux.shows(/Jobs of queue busy[\s\S]*WAITING[\s\S]*WAITING/);
    expect(jobs.join('\n')).not.toContain('worker-1');
    await tmux.press('Down', 'Enter');
    await tmux.shows(/WAITING pending[\s\S]*waits: [\s\S]*arguments +\{"n":2\}/);
    await tmux.press('c', 'y');
    await tmux.shows(/WAITING cancelled/);
    const { items } = (await coordinator.api.get<{ items: Job[] }>('/jobs?status=cancelled')).body;
    expect(items.map((job) => job.arguments)).toEqual([{ n: 2 }]);
    await tmux.press('Escape');
    await tmux.shows(/Jobs of queue busy/);
    await tmux.press('Left');
    await tmux.shows(/RUNNER/);
    await tmux.press('q');
    await isClean(/ended with 0/);
  });

  test('follows the size of the terminal', async () => {
    await start();
    await tmux.resize(46, 12);
    await eventually(async () => (await tmux.screen()).length === 12);
    const narrow = await tmux.shows(/QUEUE +WAITING +RUNNING[\s\S]*RUNNER[\s\S]*choose/);
    expect(narrow.join('\n')).not.toMatch(/VERSION|IN\/MIN {2}/);
    await tmux.resize(140, 30);
    await tmux.shows(/QUEUE.*OUT\/MIN[\s\S]*RUNNER.*TYPES/);
    await tmux.press('C-c');
    await isClean(/ended with 130/);
  });

  test('leaves the terminal clean when it is killed, or cannot go on', async () => {
    await start();
    const pid = await tmux.ask('pane_pid');
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    process.kill(Number(child), 'SIGTERM');
    await isClean(/ended with 143/);

    await tmux.type(`BATON_KEY=wrong ${process.execPath} ${PROGRAM} top; echo "ended with $?"`);
    await isClean(/unauthenticated[\s\S]*ended with 4/);
  });
});
