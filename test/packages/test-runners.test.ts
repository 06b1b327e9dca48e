import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packAll } from '../../scripts/release/pack';
import { install } from '../../scripts/release/try-out';

// A user's own tests of a runner and a producer end by themselves: nothing of the SDK keeps their process open.

const VITEST = 'vitest@3.2.4';
const ROOT = join(__dirname, '..', '..');
/** A test as users write them, with a server of their own in place of a coordinator. */
const BODY = `
test('a job is processed, and all is closed', async () => {
  const server = createServer((request, response) => {
    const answer = request.url === '/jobs' ? { id: 'one', type: 'GREET', status: 'pending' } : { jobs: [], directives: {} };
    request.resume().once('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer)));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const options = { coordinatorUrl: 'http://127.0.0.1:' + server.address().port, apiKey: 'key' };
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const runner = new Runner({ ...options, signals: false, logger, waitMs: 50 });
  const greet = defineJob({ type: 'GREET' });
  await runner.handle(greet, () => 'hello').start();
  const client = new Client(options);
  expect((await client.create('GREET', {})).id).toBe('one');
  expect(await runHandler(greet, () => 'hello', {})).toMatchObject({ outcome: 'completed', result: 'hello' });
  await runner.stop();
  await client.close();
  await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
});
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-tests-'));
  const sdk = packAll(join(folder, 'tarballs'), null).find(({ name }) => name === '@baton/runner-sdk');
  install(join(folder, 'project'), [sdk?.file ?? '', VITEST]);
  writeFileSync(
    join(folder, 'project', 'jest.test.js'),
    `const { createServer } = require('node:http');
const { Client, defineJob, Runner } = require('@baton/runner-sdk');
const { runHandler } = require('@baton/runner-sdk/testing');${BODY}`,
  );
  writeFileSync(
    join(folder, 'project', 'vitest.test.mjs'),
    `import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { Client, defineJob, Runner } from '@baton/runner-sdk';
import { runHandler } from '@baton/runner-sdk/testing';${BODY}`,
  );
}, 180_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CASES: [string, () => string[]][] = [
  [
    'jest',
    () => [
      join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js'),
      '--rootDir',
      '.',
      '--detectOpenHandles',
      '--testMatch',
      '**/jest.test.js',
    ],
  ],
  [
    'vitest',
    () => [
      join('node_modules', 'vitest', 'vitest.mjs'),
      'run',
      'vitest.test',
      '--reporter=hanging-process',
      '--reporter=default',
    ],
  ],
];

test.each(CASES)('%s', (_name, args) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args(), {
    cwd: join(folder, 'project'),
    env: { PATH: process.env['PATH'], HOME: folder },
    encoding: 'utf8',
    timeout: 60_000,
  });
  const said = stdout + stderr;
  expect([status, said]).toEqual([0, expect.stringMatching(/1 passed/)]);
  expect(said).not.toMatch(/open handle|did not exit|close timed out|hanging/i);
});
