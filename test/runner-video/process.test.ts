import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { videoProcessing } from '@baton/runner-video/jobs';
import { eventually } from '../support/eventually';
import { RunnerStage } from '../support/runner-stage';

// The runner as people start it, which is killed while ffmpeg writes.

const withFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0 ? describe : describe.skip;
let stage: RunnerStage;
beforeAll(async () => (stage = await RunnerStage.open('video', { VIDEO_SPEED: 'ultrafast' })));
afterAll(() => stage.close());

const programs = (): string[] =>
  stage.processes((args) => /ffmpeg$/.test(args[0] ?? '') && args.some((one) => one.includes(stage.folder)));

withFfmpeg('the runner of videos', () => {
  it('killed in the middle of a film, leaves no ffmpeg and no file, and the next makes it', async () => {
    const { folder } = stage;
    const film = ['-f', 'lavfi', '-i', 'testsrc=s=64x36:r=10:d=1200', '-c:v', 'libx264', '-preset', 'ultrafast'];
    expect(spawnSync('ffmpeg', ['-v', 'error', ...film, join(folder, 'in.mp4')]).status).toBe(0);
    const first = stage.start();
    const id = await stage.create(videoProcessing.type, {
      ...{ from: 'file:in.mp4', outputs: [{ to: 'file:out.mp4', preset: '240p' }] },
      hls: { to: 'file:hls', renditions: ['240p'], segmentSeconds: 6 },
    });
    await eventually(programs, (pids) => pids.length > 0, 60_000);
    await first.kill();
    await eventually(programs, (pids) => pids.length === 0, 30_000);
    expect([existsSync(join(folder, 'out.mp4')), existsSync(join(folder, 'hls'))]).toEqual([false, false]);
    const [own = ''] = stage.owners();
    stage.start();
    const done = await stage.ended(id, 120_000);
    expect(done).toMatchObject({ status: 'completed', attempt: 2, result: { hls: { segments: 200 } } });
    expect(readdirSync(join(folder, 'hls', '240p'))).toHaveLength(201);
    expect(stage.owners()).not.toContain(own);
  }, 240_000);
});
