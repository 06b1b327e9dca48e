import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentGeneration } from '@baton/runner-documents/jobs';
import { findChromium } from '../../scripts/chromium';
import { type Line, Program } from '../e2e/support/processes';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

// The runner as people start it, which is killed while Chromium waits for an image.

const withChromium = findChromium() === null ? describe.skip : describe;
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let folder: string;
let images: Server;
/** Images are answered only when this is open. */
let isOpen = false;
let asked = 0;
const log: Line[] = [];
const running: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-documents-'));
  coordinator = await startCoordinator({ monitorIntervalMs: 200 });
  images = createServer((_request, response) => {
    asked += 1;
    if (isOpen) response.end(Buffer.from(PIXEL, 'base64'));
  });
  await new Promise<void>((resolve) => images.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  for (const one of running.splice(0)) if (!one.hasEnded) await one.kill();
});
afterAll(async () => {
  images.closeAllConnections();
  images.close();
  await coordinator.stop();
  rmSync(folder, { recursive: true, force: true });
});

function start(key: string, more: Record<string, string> = {}): Program {
  const env = {
    ...{ COORDINATOR_URL: coordinator.url, RUNNER_KEY: key, RUNNER_WORK_DIR: join(folder, 'work') },
    ...{ STORAGE_ROOTS: `file:${folder}`, RUNNER_LEASE_MS: '2000' },
    ...{ STORAGE_READ_ROOTS: `http://127.0.0.1:${(images.address() as AddressInfo).port}/` },
    ...more,
  };
  const program = new Program('documents', ['runners/documents/dist/index.js'], { env, log });
  running.push(program);
  return program;
}

/** Processes whose command names the folder of this test. */
const left = (): string[] =>
  readdirSync('/proc').filter((pid) => {
    const path = `/proc/${pid}/cmdline`;
    return /^\d+$/.test(pid) && existsSync(path) && textOf(path).includes(`--user-data-dir=${folder}`);
  });

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

withChromium('the runner of documents', () => {
  it('killed while a document is made, leaves no browser and no file, and the next makes it', async () => {
    const key = await coordinator.api.makeKey({ name: 'runner', role: 'runner' });
    const first = start(key);
    const url = `http://127.0.0.1:${(images.address() as AddressInfo).port}/slow.png`;
    const { id } = await coordinator.api.create({
      ...{ type: documentGeneration.type, retry: { strategy: 'fixed', baseMs: 0 } },
      arguments: { html: `<p>{{word}}</p><img src="${url}">`, data: { word: 'kept' }, to: 'file:out.pdf' },
    });
    await eventually(
      () => asked,
      (count) => count > 0,
      60_000,
    );
    expect(left().length).toBeGreaterThan(0);
    await first.kill();
    await eventually(left, (pids) => pids.length === 0, 30_000);
    expect(existsSync(join(folder, 'out.pdf'))).toBe(false);
    isOpen = true;
    const [own = ''] = readdirSync(join(folder, 'work'));
    start(key);
    const done = await eventually(
      () => coordinator.api.job(id),
      ({ status }) => status === 'completed' || status === 'failed',
      60_000,
    );
    expect(done).toMatchObject({ status: 'completed', result: { pages: 1 } });
    expect(readFileSync(join(folder, 'out.pdf'), 'latin1')).toMatch(/^%PDF-/);
    // What the first left in its folder is gone.
    expect(existsSync(join(folder, 'work', own))).toBe(false);
  });

  it('says in a line what it lacks', async () => {
    writeFileSync(join(folder, 'old'), '#!/bin/sh\necho Chromium 99.0.1\n', { mode: 0o755 });
    for (const [setting, line] of [
      [{ DOCUMENTS_CHROMIUM: join(folder, 'none') }, /DOCUMENTS_CHROMIUM must be a Chromium/],
      [{ DOCUMENTS_CHROMIUM: join(folder, 'old') }, /Chromium 99\.0 is too old; 131 or later is needed/],
      [{ DOCUMENTS_MOST_PAGE: '3' }, /Did you mean DOCUMENTS_MOST_PAGES/],
    ] as const) {
      const wrong = start('key', { ...setting });
      expect(await wrong.ended).toMatchObject({ code: 1 });
      expect(log.at(-1)?.text).toMatch(line);
    }
  });
});
