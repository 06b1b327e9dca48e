import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A part of the code that a reader passes who follows one job from its create to its end. */
interface Room {
  name: string;
  /** Files, and folders with all of their content. */
  paths: readonly string[];
}

export interface Measured {
  name: string;
  lines: number;
  files: number;
}

const ROOMS: readonly Room[] = [
  {
    name: 'HTTP: from a request to its answer, creates and attempts',
    paths: [
      'coordinator/http/server.ts',
      'coordinator/http/core',
      'coordinator/http/body',
      'coordinator/http/routes/create.ts',
      'coordinator/http/routes/attempts.ts',
      'coordinator/http/render/claimed-text.ts',
      'coordinator/http/render/created-text.ts',
    ],
  },
  { name: 'dispatch: claims and calls that wait', paths: ['coordinator/dispatch'] },
  { name: 'domain/jobs: the verbs', paths: ['coordinator/domain/jobs'] },
  { name: 'store/jobs: the statements', paths: ['coordinator/store/jobs', 'coordinator/store/leases.ts'] },
  {
    name: 'loops: what time does to a job',
    paths: [
      'coordinator/loops/loop.ts',
      'coordinator/loops/due.ts',
      'coordinator/loops/settle.ts',
      'coordinator/loops/timeout-monitor.ts',
    ],
  },
];

/** The verbs and statements that move a job, and the monitor; included in the parts above. */
const CORE: Room = {
  name: 'of these the core: verbs, statements and monitor',
  paths: [
    ...[
      ...['cancel', 'claim', 'complete', 'create', 'expire-leases', 'fail', 'heartbeat', 'promotion', 'release'],
      ...['retry', 'retry-by-hand', 'settle', 'transitions'],
    ].map((verb) => `coordinator/domain/jobs/${verb}.ts`),
    ...['cancel', 'claim', 'holds', 'insert', 'promote', 'report', 'retry', 'unblock'].map(
      (statement) => `coordinator/store/jobs/${statement}.ts`,
    ),
    'coordinator/store/leases.ts',
    'coordinator/loops/timeout-monitor.ts',
  ],
};

/**
 * Number of lines and files that the life of a job takes: by part, in total, and the core alone.
 * @throws {Error} when a counted file does not exist any more
 */
export function lifeOfAJob(root: string): { rooms: Measured[]; all: Measured; core: Measured } {
  const rooms = ROOMS.map((room) => measure(root, room));
  const all = {
    name: 'together',
    lines: rooms.reduce((sum, { lines }) => sum + lines, 0),
    files: rooms.reduce((sum, { files }) => sum + files, 0),
  };
  return { rooms, all, core: measure(root, CORE) };
}

function measure(root: string, { name, paths }: Room): Measured {
  const files = paths.flatMap((path) => filesIn(join(root, path)));
  return { name, lines: files.reduce((sum, file) => sum + linesOf(file), 0), files: files.length };
}

function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .flatMap((name) => filesIn(join(path, name)))
    .filter((file) => file.endsWith('.ts'));
}

function linesOf(file: string): number {
  return readFileSync(file, 'utf8').split('\n').length - 1;
}
