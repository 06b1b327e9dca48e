import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createTestDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { Shell } from './support/command';

const SDK = pathToFileURL(join(__dirname, '..', '..', 'runner-sdk', 'dist', 'index.js')).href;
const ADMIN_KEY = 'an-admin-key-for-the-tests-of-dev-0123456789';

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let shell: Shell;

beforeAll(async () => {
  database = await createTestDatabase();
  shell = new Shell({ DATABASE_URL: database.url, BATON_ADMIN_KEY: ADMIN_KEY, BATON_KEY: ADMIN_KEY, PORT: '0' });
});

afterAll(() => database.drop());

type Running = ReturnType<Shell['start']>;

/** Waits until its output shows this, and returns what the first group matched. */
async function said(running: Running, pattern: RegExp): Promise<string> {
  const text = await eventually(
    () => running.output.stdout,
    (output) => pattern.test(output),
    60_000,
  );
  return pattern.exec(text)?.[1] ?? '';
}

function runnerFile(greeting: string): string {
  return `import sdk from '${SDK}';
const runner = new sdk.Runner();
runner.handle('GREET', () => ({ text: '${greeting}', secrets: [process.env.DATABASE_URL, process.env.BATON_ADMIN_KEY] }));
await runner.start();
`;
}

async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/healthz`).then(
    () => true,
    () => false,
  );
}

test('dev runs coordinator and runner, and starts the runner again when its file changes', async () => {
  const file = join(shell.folder, 'runner.mjs');
  writeFileSync(file, runnerFile('first'));
  const running = shell.start(['dev', 'runner.mjs']);
  try {
    const url = await said(running, /Baton runs at (http:\S+)/);
    const greet = () =>
      shell.json<{ result: unknown }>(['jobs', 'create', 'GREET', '--wait', '--url', url]).then(({ result }) => result);
    expect(await greet()).toEqual({ text: 'first', secrets: [null, null] });

    writeFileSync(file, runnerFile('second'));
    await said(
      running,
      /a source has changed: it is started again[\s\S]*runner stopped[\s\S]*connected to the coordinator/,
    );
    expect(await greet()).toMatchObject({ text: 'second' });

    writeFileSync(file, 'no JavaScript');
    await said(running, /SyntaxError[\s\S]*ended with 1; it is started again when a source changes/);
    writeFileSync(file, runnerFile('third'));
    expect(await greet()).toMatchObject({ text: 'third' });

    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
    expect(running.output.stdout).toMatch(/Stopping[\s\S]*runner stopped[\s\S]*coordinator stopped/);
    expect(await answers(url)).toBe(false);
  } finally {
    running.child.kill('SIGKILL');
  }
});

test('dev greets by itself, and leaves nothing behind when it is killed', async () => {
  const running = shell.start(['dev']);
  try {
    const url = await said(running, /Baton runs at (http:\S+)/);
    await said(running, /first job +HELLO \S+ is completed: \{"greeting":"Hello, world!"\}/);
    running.child.kill('SIGKILL');
    await eventually(async () => !(await answers(url)), Boolean, 30_000);
  } finally {
    running.child.kill('SIGKILL');
  }
});

test('coordinator and migrate run those of the coordinator', async () => {
  expect(await shell.spawn(['migrate'])).toMatchObject({ code: 0, stdout: 'The database is up to date.\n' });
  const running = shell.start(['coordinator']);
  const url = await said(running, /"url":"(http:[^"]+)"/);
  expect(await answers(url.replace('0.0.0.0', '127.0.0.1'))).toBe(true);
  running.child.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('coordinator stopped') });

  const wrong = await shell.spawn(['migrate'], { env: { DATABASE_URL: 'postgresql://127.0.0.1:9/x' } });
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('No database listens') });
  expect((await shell.spawn(['coordinator'], { env: { PORT: 'x' } })).code).toBe(1);
  expect(await shell.spawn(['dev', 'missing.ts'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no file missing.ts'),
  });
});
