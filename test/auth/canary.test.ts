import { randomBytes } from 'node:crypto';
import { readAllowed } from '@baton/url-policy';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';
import { Receiver, status } from '../support/receiver';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(
  async () =>
    (coordinator = await startCoordinator({
      webhooks: { urlPolicy: { ...readAllowed(['127.0.0.1']), isHttpAllowed: false, ports: [443] } },
    })),
);
afterAll(() => coordinator.stop());

test('what is secret stands in no log line, error, figure or audit entry', async () => {
  const { api } = coordinator;
  const planted: string[] = [];
  const plant = (): string => {
    const canary = `canary${randomBytes(12).toString('hex')}`;
    planted.push(canary);
    return canary;
  };
  const replies: unknown[] = [];
  const call = async (
    method: string,
    path: string,
    json?: unknown,
    headers: Record<string, string> = {},
    as = api,
  ): Promise<unknown> => {
    const { body, headers: told } = await as.call(method, path, { headers, ...(json === undefined ? {} : { json }) });
    replies.push(told);
    return body;
  };
  const told = async (...args: Parameters<typeof call>) => replies.push(await call(...args));
  const type = uniqueType();

  // Carried by jobs, as their owners may read them.
  await call(
    'post',
    '/jobs',
    { type, arguments: { password: plant() }, metadata: { token: plant() } },
    { cookie: `other=${plant()}`, 'x-secret': plant() },
  );
  const job = await api.claimOne({ runnerId: 'r', types: [type] });
  planted.push(job.leaseToken);
  await call('post', `/jobs/${job.id}/heartbeat`, {
    leaseToken: job.leaseToken,
    checkpoint: { at: plant() },
    progress: { percent: 1, message: plant() },
    logs: [{ level: 'error', message: plant() }],
  });
  await call('post', `/jobs/${job.id}/complete`, {
    leaseToken: job.leaseToken,
    outcome: 'failed',
    error: { message: plant(), stack: plant() },
  });
  await call('post', '/jobs', { type, arguments: {}, maxAttempts: 1 });
  const second = await api.claimOne({ runnerId: 'r', types: [type] });
  planted.push(second.leaseToken);
  await call('post', `/jobs/${second.id}/complete`, {
    leaseToken: second.leaseToken,
    outcome: 'completed',
    result: { answer: plant() },
  });

  // Brought by callers who are refused.
  await told('get', '/jobs', undefined, {}, api.as(plant()));
  await told('get', '/jobs', undefined, {}, api.as(`baton_${'a'.repeat(12)}_${plant().padEnd(34, '0').slice(0, 34)}`));
  await told('get', '/jobs', undefined, { cookie: `baton_session=${plant()}` }, api.as(null));
  await told('post', '/session', { apiKey: plant() }, {}, api.as(null));
  await told('post', '/jobs', { type, arguments: { ['__proto__x']: plant(), deep: plant(), n: 1e300 } });
  await told('post', '/jobs', { type, priority: plant() });
  await told('post', `/jobs/${job.id}/complete`, { leaseToken: plant(), outcome: 'completed', result: plant() });
  await told('post', `/jobs/${job.id}/complete`, { leaseToken: job.leaseToken, outcome: 'completed', result: plant() });
  await coordinator.sql.query("ALTER TABLE jobs ADD CONSTRAINT broken CHECK (type <> 'broken') NOT VALID");
  await told('post', '/jobs', { type: 'broken', arguments: { password: plant() } });

  // What signs, and what receivers answer.
  const receiver = await Receiver.open((response, nth) =>
    nth === 1 ? response.writeHead(500, { 'x-secret': plant() }).end(plant()) : status(204)(response, nth),
  );
  const plantedSecret = (made: unknown) => {
    const { id, secret } = made as { id: string; secret: string };
    planted.push(secret.slice('whsec_'.length));
    return id;
  };
  const hookId = plantedSecret(
    await call('post', '/webhooks', { url: receiver.url(`/${plant()}`), events: ['job.created', 'webhook.disabled'] }),
  );
  plantedSecret(await call('post', `/webhooks/${hookId}/rotate`, {}));
  plantedSecret(await call('get', '/callback-secret'));
  plantedSecret(await call('post', '/callback-secret/rotate', {}));
  await call('post', '/jobs', { type, arguments: { password: plant() }, callbackUrl: receiver.url(`/${plant()}`) });
  await told('post', '/webhooks', { url: `https://user:${plant()}@example.com/`, events: ['job.created'] });
  await told('post', '/webhooks', { url: `https://10.0.0.1/${plant()}`, events: ['job.created'] });
  await call('post', `/webhooks/${hookId}/test`);
  await receiver.got(2);
  await coordinator.app.deliverer.settled();
  expect(JSON.stringify(await call('get', `/webhooks/${hookId}/deliveries`))).toContain('it answered 500');
  const sent = receiver.received.map(({ text }) => text).join();
  for (const canary of planted) expect([canary, sent.includes(canary)]).toEqual([canary, false]);
  await receiver.close();

  // Made for operators.
  const { key } = (await call('post', '/api-keys', { name: 'n', role: 'viewer' })) as { key: string };
  planted.push(key, coordinator.adminKey);
  await call('post', '/session', { apiKey: key }, {}, api.as(null));
  for (const path of [
    '/health',
    '/readyz',
    '/healthz',
    '/audit?limit=500',
    '/api-keys',
    '/queues',
    '/runners',
    '/metrics',
    '/openapi.json',
  ])
    await told('get', path);
  await coordinator.runMonitor();

  expect(planted.length).toBeGreaterThan(15);
  const seen = [
    JSON.stringify(coordinator.logged, (_name, value: unknown) =>
      value instanceof Error ? { ...value, message: value.message, stack: value.stack } : value,
    ),
    JSON.stringify(replies),
  ];
  expect(coordinator.logged.some(({ level }) => level === 'error')).toBe(true);
  for (const canary of planted)
    expect([canary, seen.map((text) => text.includes(canary))]).toEqual([canary, [false, false]]);
});
