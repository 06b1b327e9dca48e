import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import type { DebianProgram } from '../../../scripts/debian';
import { WORLD_MANIFEST } from '../../../scripts/world-packages';
import { ROOT } from '../../e2e/support/processes';

export const KUBERNETES = join(ROOT, 'deploy', 'kubernetes');
const run = promisify(execFile);

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; annotations?: Record<string, string>; labels?: Record<string, string> };
  spec: Record<string, unknown>;
  data?: Record<string, string>;
}

/** What an overlay builds. */
export async function build(kubectl: DebianProgram, folder: string): Promise<KubernetesObject[]> {
  const { stdout } = await run(kubectl.path, ['kustomize', join(KUBERNETES, folder)], { maxBuffer: 2 ** 26 });
  return parse(stdout);
}

/** Every object of a text in YAML. */
export function parse(text: string): KubernetesObject[] {
  return parseAllDocuments(text).map((document) => {
    const [fault] = document.errors;
    if (fault !== undefined) throw new Error(fault.message, { cause: fault });
    return document.toJS() as KubernetesObject;
  });
}

/** What is wrong with each object by the published schema of its kind; null: nothing. */
export function faultsOf(objects: KubernetesObject[]): (string | null)[] {
  const args = [join(__dirname, 'validate.mjs'), WORLD_MANIFEST];
  const output = execFileSync(process.execPath, args, { input: JSON.stringify(objects), encoding: 'utf8' });
  return JSON.parse(output) as (string | null)[];
}
