import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { webpack } from 'webpack';
import { FakeCoordinator } from './fake-coordinator';

const ROOT = join(__dirname, '..', '..');
const SOURCE = `
import { Runner } from '@baton/runner-sdk';
const runner = new Runner({ signals: false, logLevel: 'warn', leaseMs: 1000 });
runner.handle('TEST', async (_args, job) => {
  await job.checkpoint({ from: 'the bundle' });
  setTimeout(() => void runner.stop(), 100);
  return process.argv[1];
});
void runner.start();
`;

let folder: string;
let coordinator: FakeCoordinator;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-bundle-'));
  writeFileSync(join(folder, 'runner.mjs'), SOURCE);
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  coordinator = await FakeCoordinator.start();
});

afterEach(async () => {
  await coordinator.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function esbuilt(format: 'cjs' | 'esm'): Promise<string> {
  const outfile = join(folder, 'out', format === 'cjs' ? 'app.cjs' : 'app.mjs');
  // Packages of CommonJS, as undici is, ask for Node's own modules by a require that bundles of ES modules must be
  // given.
  const require = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;
  await build({
    ...{
      entryPoints: [join(folder, 'runner.mjs')],
      outfile,
      format,
      bundle: true,
      platform: 'node',
      logLevel: 'error',
    },
    ...{ external: ['@opentelemetry/api'], banner: format === 'esm' ? { js: require } : {} },
  });
  return outfile;
}

async function webpacked(): Promise<string> {
  const compiler = webpack({
    ...{ mode: 'production', target: 'node20', entry: join(folder, 'runner.mjs'), optimization: { minimize: false } },
    externals: { '@opentelemetry/api': 'commonjs @opentelemetry/api' },
    output: { path: join(folder, 'out'), filename: 'packed.cjs' },
  });
  const stats = await new Promise<{ hasErrors(): boolean; toString(): string } | undefined>((resolve, reject) =>
    compiler.run((error, done) => (error === null ? resolve(done) : reject(error))),
  );
  if (stats === undefined || stats.hasErrors()) throw new Error(String(stats));
  return join(folder, 'out', 'packed.cjs');
}

test.each([
  ['esbuild as CommonJS', () => esbuilt('cjs')],
  ['esbuild as ES module', () => esbuilt('esm')],
  ['webpack', webpacked],
])('a runner that was bundled by %s starts, keeps its leases and ends', async (_name, bundle) => {
  const file = await bundle();
  // Nothing of the installation beside it.
  rmSync(join(folder, 'node_modules'));
  const job = coordinator.add({ leaseMs: 1000 });
  const child = spawn(process.execPath, [file], {
    ...{ cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
    env: { ...process.env, COORDINATOR_URL: coordinator.url, RUNNER_KEY: 'key' },
  });
  let errors = '';
  child.stderr?.on('data', (chunk) => (errors += String(chunk)));
  const ended = once(child, 'close');
  expect(await coordinator.report(job)).toMatchObject({ outcome: 'completed', result: file });
  const beats = coordinator.calls('POST /jobs/heartbeat').flatMap(({ body }) => body.jobs as { jobId: string }[]);
  expect(beats.map(({ jobId }) => jobId)).toContain(job.id);
  expect(coordinator.updates(job).checkpoint).toEqual({ from: 'the bundle' });
  expect(await ended).toEqual([0, null]);
  expect(errors).toBe('');
});
