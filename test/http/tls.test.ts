import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { startCoordinator } from '../support/coordinator';

// Made for this test, for localhost alone; nothing else trusts it.
const cert = readFileSync(join(__dirname, 'tls', 'localhost-cert.pem'), 'utf8');
const key = readFileSync(join(__dirname, 'tls', 'localhost-key.pem'), 'utf8');

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator({ access: { tls: { cert, key } } })));
afterAll(() => coordinator.stop());

test('with a certificate the coordinator speaks HTTPS, tells browsers to stay with it, and marks cookies Secure', async () => {
  const agent = new Agent({ connect: { ca: cert } });
  const url = coordinator.url.replace('http:', 'https:');
  const headers = { 'content-type': 'application/json' };
  const signedIn = await request(`${url}/session`, {
    method: 'POST',
    dispatcher: agent,
    headers,
    body: JSON.stringify({ apiKey: coordinator.adminKey }),
  });
  await signedIn.body.dump();
  expect(signedIn.statusCode).toBe(201);
  expect(signedIn.headers['strict-transport-security']).toMatch(/^max-age=\d{7,}/);
  expect(String(signedIn.headers['set-cookie'])).toContain('; Secure');
  await agent.destroy();
});

test('plain HTTP gets nothing there', async () => {
  await expect(request(`${coordinator.url}/healthz`)).rejects.toThrow();
});
