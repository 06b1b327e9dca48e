import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@baton/runner-sdk';
import { httpRequest } from '@baton/runner-http/jobs';
import { findDebian } from '../../../scripts/debian';
import { ADMIN_KEY } from '../../e2e/support/processes';
import { createTestDatabase, type TestDatabase } from '../../support/database';
import { describeWith } from '../support/needs';
import { freePort } from '../support/port';
import { Buildah, Container, type ImageConfig } from './image';

jest.setTimeout(2_400_000);
/** Of the files that an image adds to its base: what docs/deploy.md says, and a little more. */
const MOST_MB = { coordinator: 60, runner: 20 };
const GRACE_MS = 30_000;

const programs = {
  'buildah that may make images (root)': process.getuid?.() === 0 ? findDebian('buildah') : null,
  debootstrap: findDebian('debootstrap'),
};

describeWith('the images', programs, (found) => {
  let buildah: Buildah;
  const roots: Record<string, string> = {};
  const configs: Record<string, ImageConfig> = {};
  let database: TestDatabase;
  const started: Container[] = [];

  beforeAll(async () => {
    buildah = new Buildah(found['buildah that may make images (root)'], found.debootstrap);
    await buildah.makeBase();
    for (const target of ['coordinator', 'runner']) {
      await buildah.build(target);
      configs[target] = await buildah.config(`baton-${target}`);
      roots[target] = await buildah.mount(`baton-${target}`);
    }
    database = await createTestDatabase();
  });
  afterAll(async () => {
    for (const container of started) container.kill();
    await buildah.close();
    await database.drop();
  });

  const start = (target: string, env: Record<string, string>, writable: string[] = []): Container => {
    const [root, config] = [roots[target], configs[target]];
    if (root === undefined || config === undefined) throw new Error(`${target} was built`);
    const container = new Container(root, config, env, writable);
    started.push(container);
    return container;
  };

  it.each(['coordinator', 'runner'] as const)('%s is small, without rights, and lists its packages', (target) => {
    const root = roots[target] ?? '';
    expect(configs[target]).toMatchObject({ User: '10001:10001', StopSignal: 'SIGTERM' });
    const size = Number(execFileSync('du', ['-sm', join(root, 'app')], { encoding: 'utf8' }).split('\t')[0]);
    expect(size).toBeLessThan(MOST_MB[target]);
    const { packages } = JSON.parse(readFileSync(join(root, 'app', 'sbom.spdx.json'), 'utf8')) as {
      packages: { name: string }[];
    };
    expect(packages.map(({ name }) => name)).toEqual(expect.arrayContaining(['@baton/runner-sdk', 'undici', 'zod']));
  });

  it('do a job together, write nothing elsewhere, are healthy, and stop within their grace', async () => {
    const [port, health] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${port}`;
    const coordinator = start('coordinator', {
      DATABASE_URL: database.url,
      BATON_ADMIN_KEY: ADMIN_KEY,
      HOST: '127.0.0.1',
      PORT: String(port),
    });
    await coordinator.says('coordinator listens');
    const runner = start(
      'runner',
      {
        COORDINATOR_URL: url,
        RUNNER_KEY: ADMIN_KEY,
        RUNNER_HEALTH_PORT: String(health),
        HTTP_REQUEST_ALLOW: '127.0.0.1',
      },
      ['/var/lib/baton/work', '/var/lib/baton/storage'],
    );
    await runner.says('runner started');

    const client = new Client({ coordinatorUrl: url, apiKey: ADMIN_KEY });
    const job = await client.create(httpRequest, { url: `${url}/dashboard/` });
    expect(await client.wait(job)).toMatchObject({ status: 200 });
    await client.close();

    for (const container of [coordinator, runner]) {
      expect(await container.exec(['node', '/app/health.mjs'])).toBe(0);
      expect(await container.exec(['touch', '/tmp/here'])).toBe(0);
      expect(await container.exec(['touch', '/app/here'])).not.toBe(0);
      expect(await container.exec(['touch', '/var/tmp/here'])).not.toBe(0);
    }
    expect(await runner.stop('SIGTERM', GRACE_MS)).toBe(0);
    expect(await coordinator.stop('SIGTERM', GRACE_MS)).toBe(0);
  });
});
