import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { renderDocs } from '../../scripts/bench/docs';
import type { Results } from '../../scripts/bench/result';

const ROOT = join(__dirname, '..', '..');
const LINES = [
  'create-1',
  'create-http',
  'create-bulk',
  'drain',
  'drain-1',
  'pick-up',
  'claimers',
  'backlog',
  'pinned',
  'idle',
  'bound',
  'limits',
  'composition',
  'store',
];

/** Seconds on a quiet machine. */
const LONGEST_MS = 420_000;

const figure = z.number().positive();
const resultsShape = z.strictObject({
  machine: z.strictObject({ cpu: z.string(), cores: z.int().positive(), memoryGiB: z.number(), system: z.string() }),
  versions: z.record(z.string(), z.string()),
  settings: z.record(z.string(), z.string()),
  at: z.iso.datetime(),
  scale: z.literal('smoke'),
  rounds: z.literal(1),
  lines: z.array(
    z.strictObject({
      line: z.enum(LINES),
      measure: z.string(),
      unit: z.string(),
      value: z.number().nonnegative().nullable(),
      runs: z.array(z.number()),
      peers: z.record(z.string(), figure),
      ratio: z.number().nonnegative().nullable(),
      aim: z.null(),
      isMet: z.null(),
      note: z.string().nullable(),
    }),
  ),
});

/** What `npm run bench` runs, without npm between, so that it can be ended. */
async function run(script: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, script), ...args], {
    cwd: ROOT,
    timeout: LONGEST_MS,
  });
  return stdout;
}

it(
  'runs every line with some hundreds of jobs and writes what it found',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'baton-bench-test-'));
    const file = join(dir, 'run.json');
    try {
      await run('scripts/setup.mjs', '--quiet');
      const stdout = await run('scripts/bench/dist/run.js', '--smoke', '--json', file);
      const results = resultsShape.parse(JSON.parse(readFileSync(file, 'utf8'))) as Results;
      expect(new Set(results.lines.map(({ line }) => line))).toEqual(new Set(LINES));
      for (const { value, note } of results.lines) expect(value === null).toBe(note !== null);
      expect(results.lines.find(({ line }) => line === 'bound')?.ratio).toBeGreaterThan(0);
      expect(results.settings).toMatchObject({ fsync: 'on', synchronous_commit: 'on' });

      const page = renderDocs(results);
      for (const line of LINES) {
        expect(stdout).toMatch(new RegExp(`^${line} `, 'm'));
        expect(page).toContain(`**${line}**`);
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
  LONGEST_MS + 10_000,
);
