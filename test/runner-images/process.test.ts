import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { imageProcessing } from '@baton/runner-images/jobs';
import sharp from 'sharp';
import { eventually } from '../support/eventually';
import { RunnerStage } from '../support/runner-stage';

// The runner as people start it, which is killed while it changes an image.

let stage: RunnerStage;
beforeAll(async () => (stage = await RunnerStage.open('images')));
afterAll(() => stage.close());

it('killed in the middle of an image, leaves nothing, and the next makes it', async () => {
  const { folder } = stage;
  await sharp({ create: { width: 3000, height: 2000, channels: 3, background: '#0000ff' } }).toFile(
    join(folder, 'in.png'),
  );
  const first = stage.start();
  const id = await stage.create(imageProcessing.type, {
    ...{ from: 'file:in.png', outputs: [{ to: 'file:out.webp' }, { to: 'file:out.jpg' }] },
    steps: Array.from({ length: 12 }, () => ({ do: 'blur', sigma: 8 })),
  });
  // The second of twelve steps has begun.
  await eventually(
    () => stage.leftovers(),
    (names) => names.some((name) => name.endsWith('/step-1')),
    60_000,
  );
  await first.kill();
  expect(readdirSync(folder).filter((name) => name.startsWith('out'))).toEqual([]);
  const [own = ''] = stage.owners();
  stage.start();
  expect(await stage.ended(id, 80_000)).toMatchObject({ status: 'completed', attempt: 2 });
  expect(await sharp(join(folder, 'out.webp')).metadata()).toMatchObject({ width: 3000, height: 2000 });
  // What the first left in its folder is gone, and what the second made on the way.
  expect(stage.owners()).not.toContain(own);
  await eventually(
    () => stage.leftovers(),
    (names) => names.length === 1,
  );
});
