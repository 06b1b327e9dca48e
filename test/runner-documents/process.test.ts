import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { documentGeneration } from '@baton/runner-documents/jobs';
import { findChromium } from '../../scripts/chromium';
import { eventually } from '../support/eventually';
import { RunnerStage } from '../support/runner-stage';

// The runner as people start it, which is killed while Chromium waits for an image.

const withChromium = findChromium() === null ? describe.skip : describe;
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
let stage: RunnerStage;
let images: Server;
/** Where images are answered from. */
let origin: string;
/** Images are answered only when this is open. */
let isOpen = false;
let asked = 0;

beforeAll(async () => {
  images = createServer((_request, response) => {
    asked += 1;
    if (isOpen) response.end(Buffer.from(PIXEL, 'base64'));
  });
  await new Promise<void>((resolve) => images.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(images.address() as AddressInfo).port}`;
  stage = await RunnerStage.open('documents', { STORAGE_READ_ROOTS: `${origin}/` });
});
afterEach(() => stage.killAll());
afterAll(async () => {
  images.closeAllConnections();
  images.close();
  await stage.close();
});

/** Browsers of this test. */
const left = (): string[] =>
  stage.processes((args) => args.some((one) => one.includes(`--user-data-dir=${stage.folder}`)));

withChromium('the runner of documents', () => {
  it('killed while a document is made, leaves no browser and no file, and the next makes it', async () => {
    const first = stage.start();
    const id = await stage.create(documentGeneration.type, {
      ...{ html: `<p>{{word}}</p><img src="${origin}/slow.png">`, data: { word: 'kept' }, to: 'file:out.pdf' },
    });
    await eventually(
      () => asked,
      (count) => count > 0,
      60_000,
    );
    expect(left().length).toBeGreaterThan(0);
    await first.kill();
    await eventually(left, (pids) => pids.length === 0, 30_000);
    expect(existsSync(join(stage.folder, 'out.pdf'))).toBe(false);
    isOpen = true;
    const [own = ''] = stage.owners();
    stage.start();
    expect(await stage.ended(id)).toMatchObject({ status: 'completed', result: { pages: 1 } });
    expect(readFileSync(join(stage.folder, 'out.pdf'), 'latin1')).toMatch(/^%PDF-/);
    // What the first left in its folder is gone.
    expect(stage.owners()).not.toContain(own);
  });

  it('says in a line what it lacks', async () => {
    writeFileSync(join(stage.folder, 'old'), '#!/bin/sh\necho Chromium 99.0.1\n', { mode: 0o755 });
    for (const [setting, line] of [
      [{ DOCUMENTS_CHROMIUM: join(stage.folder, 'none') }, /DOCUMENTS_CHROMIUM must be a Chromium/],
      [{ DOCUMENTS_CHROMIUM: join(stage.folder, 'old') }, /Chromium 99\.0 is too old; 131 or later is needed/],
      [{ DOCUMENTS_MOST_PAGE: '3' }, /Did you mean DOCUMENTS_MOST_PAGES/],
    ] as const) {
      const wrong = stage.start({ ...setting });
      expect(await wrong.ended).toMatchObject({ code: 1 });
      expect(stage.log.at(-1)?.text).toMatch(line);
    }
  });
});
