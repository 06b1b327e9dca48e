import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { videoProcessing } from '@baton/runner-video/jobs';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

// The runner as people start it, which is killed while ffmpeg writes.

const withFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0 ? describe : describe.skip;
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let folder: string;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-video-'));
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
    ...{ STORAGE_ROOTS: `file:${folder}`, RUNNER_LEASE_MS: '2000', VIDEO_SPEED: 'ultrafast' },
  };
  const program = new Program('video', ['runners/video/dist/index.js'], { env, log });
  running.push(program);
  return program;
}

/** Running programs whose arguments name the folder of this test. */
function programs(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return /ffmpeg$/.test(args[0] ?? '') && args.some((one) => one.includes(folder));
    } catch {
      return false;
    }
  });
}

withFfmpeg('the runner of videos', () => {
  it('killed in the middle of a film, leaves no ffmpeg and no file, and the next makes it', async () => {
    const film = ['-f', 'lavfi', '-i', 'testsrc=s=64x36:r=10:d=1200', '-c:v', 'libx264', '-preset', 'ultrafast'];
    expect(spawnSync('ffmpeg', ['-v', 'error', ...film, join(folder, 'in.mp4')]).status).toBe(0);
    const key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
    const first = start(key);
    const { id } = await coordinator.api.create({
      ...{ type: videoProcessing.type, retry: { strategy: 'fixed', baseMs: 0 } },
      arguments: {
        ...{ from: 'file:in.mp4', outputs: [{ to: 'file:out.mp4', preset: '240p' }] },
        hls: { to: 'file:hls', renditions: ['240p'], segmentSeconds: 6 },
      },
    });
    await eventually(programs, (pids) => pids.length > 0, 60_000);
    await first.kill();
    await eventually(programs, (pids) => pids.length === 0, 30_000);
    expect([existsSync(join(folder, 'out.mp4')), existsSync(join(folder, 'hls'))]).toEqual([false, false]);
    const [own = ''] = readdirSync(join(folder, 'work'));
    start(key);
    const done = await eventually(
      () => coordinator.api.job(id),
      ({ status }) => status === 'completed' || status === 'failed',
      120_000,
    );
    expect(done).toMatchObject({ status: 'completed', attempt: 2, result: { hls: { segments: 200 } } });
    expect(readdirSync(join(folder, 'hls', '240p'))).toHaveLength(201);
    expect(existsSync(join(folder, 'work', own))).toBe(false);
  }, 240_000);
});
