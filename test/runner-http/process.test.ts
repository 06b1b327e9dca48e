import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { httpRequest } from '@baton/runner-http/jobs';
import { eventually } from '../support/eventually';
import { RunnerStage } from '../support/runner-stage';

// The runner as people start it, which is killed while an answer arrives, and set up wrongly.

const CONTENT = 'line of an answer\n'.repeat(20_000);
let stage: RunnerStage;
let server: Server;
/** Requests in the order of their arrival. */
const asked: IncomingMessage[] = [];
/** What of an answer is sent before it stops; null: all of it. */
let most: number | null = null;

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stage = await RunnerStage.open('http', { HTTP_REQUEST_ALLOW: '127.0.0.1' });
});
beforeEach(() => asked.splice(0));
afterEach(() => stage.killAll());
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await stage.close();
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  asked.push(request);
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': CONTENT.length });
  if (most === null) response.end(CONTENT);
  else response.write(CONTENT.slice(0, most));
}

const urlOf = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
const files = (): string[] =>
  readdirSync(stage.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('/work'))
    .map((entry) => entry.name);

it('killed while an answer arrives, leaves no file, and the next asks again under the same key', async () => {
  most = CONTENT.length / 2;
  const first = stage.start();
  const id = await stage.create(httpRequest.type, {
    ...{ method: 'POST', url: urlOf('/report'), json: { of: 'today' }, saveTo: 'file:reports/today.txt' },
  });
  // Half of it has been written under another name.
  await eventually(files, (names) => names.length === 1, 30_000);
  await first.kill();
  expect(files()).not.toContain('today.txt');
  most = null;
  stage.start();
  const done = await stage.ended(id);
  expect(done).toMatchObject({ status: 'completed', attempt: 2, result: { status: 200, bytes: CONTENT.length } });
  expect(readFileSync(join(stage.folder, 'reports', 'today.txt'), 'utf8')).toBe(CONTENT);
  expect(files()).toEqual(['today.txt']);
  expect(asked.map(({ headers }) => headers['idempotency-key'])).toEqual([id, id]);
});

it('keeps a secret out of all that is stored and logged', async () => {
  const secret = 'a-secret-of-a-service';
  const program = stage.start({
    ...{ HTTP_REQUEST_SECRET_SERVICE: secret, HTTP_REQUEST_SECRET_HOSTS: 'SERVICE=127.0.0.1', RUNNER_HEALTH_PORT: '0' },
  });
  const id = await stage.create(httpRequest.type, {
    ...{ url: urlOf('/'), headers: { authorization: 'Bearer {{secret.SERVICE}}' }, keepBody: false },
  });
  expect(await stage.ended(id)).toMatchObject({ status: 'completed' });
  expect(asked[0]?.headers.authorization).toBe(`Bearer ${secret}`);
  expect(JSON.stringify(await stage.coordinator.api.job(id))).not.toContain(secret);
  const { url } = await program.says('health and metrics');
  const metrics = await (await fetch(`${String(url)}/metrics`)).text();
  expect(metrics).toContain('baton_runner_http_answers_total{status="200",runner="http"} 1');
  expect(metrics).not.toContain(secret);
  expect(stage.log.filter(({ text }) => text.includes(secret))).toEqual([]);
});

it.each([
  [{ HTTP_REQUEST_ALOW: 'x' }, 'HTTP_REQUEST_ALOW is not a setting of this runner. Did you mean HTTP_REQUEST_ALLOW?'],
  [
    { HTTP_REQUEST_SECRET_A: 'x' },
    'HTTP_REQUEST_SECRET_A may be sent nowhere: name its hosts in HTTP_REQUEST_SECRET_HOSTS, as A=api.example.com',
  ],
])('with %j says in one line what is wrong', async (env, line) => {
  expect(await stage.start(env).ended).toEqual({ code: 1, signal: null });
  expect(stage.log.at(-1)?.text).toBe(line);
});
