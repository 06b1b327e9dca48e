import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Compiles changed sources, and reports the projects. Ends with the signal. */
export function watchSources(
  root: string,
  projects: string[],
  told: { compiled: (changed: string[]) => void; fault: (line: string) => void },
  signal: AbortSignal,
): ChildProcess {
  const args = [
    join('node_modules', 'typescript', 'bin', 'tsc'),
    '-b',
    '--watch',
    '--preserveWatchOutput',
    ...projects,
  ];
  const compiler = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], signal });
  // It is ended by the signal on purpose.
  compiler.on('error', () => undefined);
  let before = stamps(root, projects);
  createInterface(compiler.stdout).on('line', (line) => {
    if (/error TS\d+/.test(line)) told.fault(line);
    if (!/Found 0 errors/.test(line)) return;
    const now = stamps(root, projects);
    const changed = projects.filter((project) => now.get(project) !== before.get(project));
    before = now;
    if (changed.length > 0) told.compiled(changed);
  });
  return compiler;
}

function stamps(root: string, projects: string[]): Map<string, number> {
  return new Map(
    projects.map((project) => [
      project,
      statSync(join(root, project, 'dist', 'tsconfig.tsbuildinfo'), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    ]),
  );
}
