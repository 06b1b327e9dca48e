import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageProcessing } from '@baton/runner-images/jobs';
import sharp from 'sharp';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

// The runner as people start it, which is killed while it changes an image.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let folder: string;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-images-'));
  coordinator = await startCoordinator({ monitorIntervalMs: 200 });
});
afterAll(async () => {
  for (const one of running) if (!one.hasEnded) await one.kill();
  await coordinator.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(key: string): Program {
  const env = {
    ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: key, RUNNER_WORK_DIR: join(folder, 'work') },
    ...{ STORAGE_ROOTS: `file:${folder}`, RUNNER_LEASE_MS: '2000' },
  };
  const program = new Program('images', ['runners/images/dist/index.js'], { env, log });
  running.push(program);
  return program;
}

/** Folders of jobs, by the runner that has made them. */
const jobFolders = (): string[] =>
  existsSync(join(folder, 'work'))
    ? readdirSync(join(folder, 'work')).flatMap((own) =>
        readdirSync(join(folder, 'work', own), { recursive: true }).map((name) => `${own}/${String(name)}`),
      )
    : [];

it('killed in the middle of an image, leaves nothing, and the next makes it', async () => {
  await sharp({ create: { width: 3000, height: 2000, channels: 3, background: '#0000ff' } }).toFile(
    join(folder, 'in.png'),
  );
  const key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
  const first = start(key);
  const { id } = await coordinator.api.create({
    ...{ type: imageProcessing.type, retry: { strategy: 'fixed', baseMs: 0 } },
    arguments: {
      ...{ from: 'file:in.png', outputs: [{ to: 'file:out.webp' }, { to: 'file:out.jpg' }] },
      steps: Array.from({ length: 12 }, () => ({ do: 'blur', sigma: 8 })),
    },
  });
  // The second of twelve steps has begun.
  await eventually(jobFolders, (names) => names.some((name) => name.endsWith('/step-1')), 60_000);
  await first.kill();
  expect(readdirSync(folder).filter((name) => name.startsWith('out'))).toEqual([]);
  const [own = ''] = readdirSync(join(folder, 'work'));
  start(key);
  const done = await eventually(
    () => coordinator.api.job(id),
    ({ status }) => status === 'completed' || status === 'failed',
    80_000,
  );
  expect(done).toMatchObject({ status: 'completed', attempt: 2 });
  expect(await sharp(join(folder, 'out.webp')).metadata()).toMatchObject({ width: 3000, height: 2000 });
  // What the first left in its folder is gone, and what the second made on the way.
  expect(jobFolders().filter((name) => name.startsWith(own))).toEqual([]);
  await eventually(jobFolders, (names) => names.length === 1);
});
