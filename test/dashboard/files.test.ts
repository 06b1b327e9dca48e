import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { startCoordinator } from '../support/coordinator';

const FOLDER = join(__dirname, '..', '..', 'dashboard', 'dist');
/** Of all screens together. */
const MOST_SCRIPT_BYTES = 400_000;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  if (!existsSync(join(FOLDER, 'index.html'))) throw new Error('The dashboard is not built; npm run setup builds it.');
  coordinator = await startCoordinator({ access: { allowedHosts: ['localhost', '127.0.0.1'] } });
});
afterAll(() => coordinator.stop());

const read = (path: string, init: RequestInit = {}) => fetch(coordinator.url + path, { redirect: 'manual', ...init });
const policyOf = (answer: Response) => answer.headers.get('content-security-policy') ?? '';
const scripts = () => readdirSync(join(FOLDER, 'assets')).filter((name) => name.endsWith('.js'));

test('without its slash it leads to where relative addresses hold, under any path of a proxy', async () => {
  const answer = await read('/dashboard');
  expect([answer.status, answer.headers.get('location')]).toEqual([308, 'dashboard/']);
});

test.each([
  ['/dashboard/', './'],
  ['/dashboard/jobs?status=failed', './'],
  ['/dashboard/jobs/0190', '../'],
  ['/dashboard/queues/a.b', '../'],
  ['/dashboard/queues/a%2Fb/more', '../../'],
])('%s is the page, whose files are found from there', async (path, up) => {
  const answer = await read(path);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const addresses = [...(await answer.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) => address);
  expect(addresses.length).toBeGreaterThan(3);
  for (const address of addresses) {
    expect(address.startsWith(up + address.replace(/^[./]+/, ''))).toBe(true);
    const file = await fetch(new URL(address, coordinator.url + path));
    expect([address, file.status]).toEqual([address, 200]);
  }
});

test('each answer has a nonce of its own, for styles alone', async () => {
  const answers = await Promise.all([read('/dashboard/'), read('/dashboard/')]);
  const nonces = await Promise.all(
    answers.map(async (answer) => {
      const [, nonce] = /'nonce-([\w-]{22})'/.exec(policyOf(answer)) ?? [];
      expect(policyOf(answer)).toContain(`style-src 'self' 'nonce-${nonce}'`);
      expect(policyOf(answer)).toContain("script-src 'self';");
      expect(policyOf(answer)).not.toMatch(/unsafe|http:|https:|\*/);
      const page = await answer.text();
      expect(page).toContain(`nonce="${nonce}"`);
      expect(page).not.toContain('__CSP_NONCE__');
      return nonce;
    }),
  );
  expect(new Set(nonces).size).toBe(2);
});

test('files are sent packed to who takes them so, and kept for good when their name holds their content', async () => {
  const [name = ''] = scripts();
  const packed = await read(`/dashboard/assets/${name}`);
  expect(packed.headers.get('content-encoding')).toBe('gzip');
  expect(packed.headers.get('cache-control')).toContain('immutable');
  expect(packed.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  const plain = await read(`/dashboard/assets/${name}`, { headers: { 'accept-encoding': 'identity' } });
  expect(plain.headers.get('content-encoding')).toBeNull();
  const file = readFileSync(join(FOLDER, 'assets', name));
  expect([Buffer.from(await plain.arrayBuffer()).equals(file), (await packed.text()) === file.toString()]).toEqual([
    true,
    true,
  ]);
  expect((await read('/dashboard/theme.js')).headers.get('cache-control')).toBe('no-cache');
  const head = await read('/dashboard/theme.js', { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test.each(['/dashboard/assets/none.js', '/dashboard/none.js'])('%s is not there', async (path) => {
  const answer = await read(path);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({
    code: 'not_found',
    detail: expect.stringContaining('reload the page'),
  });
});

test.each([
  '/dashboard/..%2f..%2fpackage.json',
  '/dashboard/assets/..%2f..%2f..%2fpackage.json',
  '/dashboard/%2e%2e/package.json',
])('%s leads out of nothing', async (path) => {
  expect(await (await read(path)).text()).not.toContain('"name"');
});

test('all scripts together stay small', () => {
  const bytes = scripts().map((name) => gzipSync(readFileSync(join(FOLDER, 'assets', name))).length);
  expect(bytes.reduce((sum, each) => sum + each, 0)).toBeLessThan(MOST_SCRIPT_BYTES);
});

test('names of hosts are checked for it as for all else', async () => {
  const status = await new Promise((resolve, reject) => {
    const sent = request(`${coordinator.url}/dashboard/`, { headers: { host: 'evil.example' } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.on('error', reject).end();
  });
  expect(status).toBe(403);
});
