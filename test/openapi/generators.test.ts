import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe as describeApi } from '../../coordinator/http/docs/openapi';
import { ENDPOINTS } from '../../coordinator/http/server';
import { startCoordinator } from '../support/coordinator';

// What a stranger does with the document: generate types with the defaults, write a client against them, and run it.

const ROOT = join(__dirname, '..', '..');
const run = promisify(execFile);
const tool = (...path: string[]): string => join(ROOT, 'node_modules', ...path);

const CLIENT = `
import createClient from 'openapi-fetch';
import type { components, paths } from './api';

const client = createClient<paths>({
  baseUrl: process.env['COORDINATOR_URL'] ?? '',
  headers: { Authorization: \`Bearer \${process.env['KEY']}\` },
});

async function main(): Promise<void> {
  const retry: components['schemas']['RetryPolicyInput'] = { strategy: 'fixed', baseMs: 0 };
  const created = await client.POST('/jobs', {
    body: { type: 'GENERATED', arguments: { n: 1 }, priority: 'high', retry, metadata: { orderId: 1017 } },
    params: { header: { 'Idempotency-Key': 'generated-1' } },
  });
  if (created.data === undefined) throw new Error(created.error.detail);
  const id: string = created.data.id;

  const claimed = await client.POST('/jobs/claim', { body: { runnerId: 'generated', types: ['GENERATED'] } });
  const [job] = claimed.data?.jobs ?? [];
  if (job === undefined) throw new Error('nothing was claimed');
  const { leaseToken } = job;
  await client.POST('/jobs/{id}/heartbeat', { params: { path: { id } }, body: { leaseToken, progress: { percent: 50 } } });
  await client.POST('/jobs/{id}/complete', {
    params: { path: { id } },
    body: { leaseToken, outcome: 'completed', result: { n: 2 } },
  });
  const { data: done } = await client.GET('/jobs/{id}/wait', { params: { path: { id }, query: { waitMs: 5000 } } });
  const { data: list } = await client.GET('/jobs', { params: { query: { status: ['completed'], type: 'GENERATED' } } });
  const { error } = await client.GET('/jobs/{id}', { params: { path: { id: '01936f5e-7b1c-7d2a-9c3e-5f4a6b7c8d9e' } } });
  const strategy = done?.retry.strategy === 'exponential' ? done.retry.factor : done?.retry.strategy;
  const code: components['schemas']['ErrorCode'] | undefined = error?.code;
  console.log(JSON.stringify([done?.status, done?.result, strategy, list?.items.map((one) => one.id === id), code]));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
`;

describe('openapi-typescript with its defaults', () => {
  let folder: string;
  let coordinator: Awaited<ReturnType<typeof startCoordinator>>;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'baton-generated-'));
    symlinkSync(tool(), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'openapi.json'), JSON.stringify(describeApi(ENDPOINTS)));
    writeFileSync(join(folder, 'client.ts'), CLIENT);
    const cli = tool('openapi-typescript', 'bin', 'cli.js');
    await run(process.execPath, [cli, 'openapi.json', '--output', 'api.ts'], { cwd: folder });
    coordinator = await startCoordinator();
  });

  afterAll(async () => {
    await coordinator.stop();
    rmSync(folder, { recursive: true });
  });

  test('gives types that a client compiles with, and wrong calls do not', async () => {
    const compile = async (file: string): Promise<string> => {
      const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext'];
      const args = [tool('typescript', 'bin', 'tsc'), ...options, '--types', 'node', file];
      return run(process.execPath, args, { cwd: folder }).then(
        () => '',
        ({ stdout }: { stdout: string }) => stdout,
      );
    };
    expect(await compile('client.ts')).toBe('');
    writeFileSync(join(folder, 'wrong.ts'), CLIENT.replace("type: 'GENERATED', arguments", "typo: 'x', arguments"));
    expect(await compile('wrong.ts')).toContain("'typo' does not exist");
  });

  test('gives a client that takes a job from its creation to its end', async () => {
    const env = { ...process.env, COORDINATOR_URL: coordinator.url, KEY: coordinator.adminKey };
    const { stdout } = await run(process.execPath, [tool('tsx', 'dist', 'cli.mjs'), 'client.ts'], { cwd: folder, env });
    expect(JSON.parse(stdout)).toEqual(['completed', { n: 2 }, 'fixed', [true], 'not_found']);
  });

  test('names every operation as a method, and no two alike', () => {
    const types = readFileSync(join(folder, 'api.ts'), 'utf8');
    const [, operations = ''] = types.split('export interface operations {');
    const names = [...operations.matchAll(/^ {4}(\w+): \{$/gm)].map(([, name = '']) => name);
    expect(names).toHaveLength(ENDPOINTS.length);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => !/^[a-z]+([A-Z][a-z]+)+$/.test(name))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(['createJob', 'createJobs', 'listJobs', 'retryJob', 'pauseQueue']));
  });
});
