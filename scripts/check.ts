import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { installChromium } from './chromium';
import { installTmux } from './debian';
import { fetchPostgres } from './postgres';

/**
 * Runs all checks that a change must pass. Arguments are passed to jest, so `npm test -- test/jobs` runs some of the
 * tests. The last line is `N passed, N failed`; types, lint and format count as one each.
 */
interface Verdict {
  name: string;
  passed: number;
  failed: number;
  skipped: number;
  tookMs: number;
}

const ROOT = join(__dirname, '..', '..');
/** Number of test files that are listed as the slowest. */
const SLOWEST = 12;
const TSC = join('node_modules', 'typescript', 'bin', 'tsc');

async function main(): Promise<void> {
  // One after the other: apt takes a lock.
  const programs = installChromium().then(async (browser) => ({
    chromium: browser,
    tmux: await installTmux(),
    postgresql: await fetchPostgres(),
  }));
  const verdicts = await Promise.all([
    checkTypes(),
    run('lint', [join('node_modules', 'eslint', 'bin', 'eslint.js'), '.', '--max-warnings=0']),
    run('format', [join('node_modules', 'prettier', 'bin', 'prettier.cjs'), '--check', '--log-level=warn', '.']),
  ]);
  for (const [name, installed] of Object.entries(await programs))
    if (installed !== null) console.log(`${name}: ${installed}\n`);
  // Not in parallel, because its tests run servers and check deadlines.
  verdicts.push(await runJest(process.argv.slice(2)));
  console.log('');
  for (const verdict of verdicts) console.log(describe(verdict));
  const failed = sum(verdicts, 'failed');
  console.log(`${sum(verdicts, 'passed')} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

/** The projects first, then the tests and the dashboard, which are compiled against the projects' declarations. */
async function checkTypes(): Promise<Verdict> {
  const projects = await run('types', [TSC, '-b']);
  if (projects.failed > 0) return projects;
  const tests = await run('types', [TSC, '-p', 'tsconfig.json', '--noEmit']);
  if (tests.failed > 0) return tests;
  const dashboard = await run('types', [TSC, '-p', 'dashboard']);
  return { ...dashboard, tookMs: projects.tookMs + tests.tookMs + dashboard.tookMs };
}

async function run(name: string, args: string[]): Promise<Verdict> {
  const startedAt = performance.now();
  const { status, output } = await start(args, 'pipe');
  if (status !== 0) console.log(`${name}:\n${output.trim()}\n`);
  return {
    name,
    passed: status === 0 ? 1 : 0,
    failed: status === 0 ? 0 : 1,
    skipped: 0,
    tookMs: performance.now() - startedAt,
  };
}

interface JestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  numRuntimeErrorTestSuites: number;
  testResults: {
    name: string;
    startTime: number;
    endTime: number;
    status: string;
    assertionResults: { fullName: string; status: string }[];
  }[];
}

async function runJest(args: string[]): Promise<Verdict> {
  const startedAt = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'baton-check-'));
  const file = join(folder, 'report.json');
  const { status } = await start(
    [join('node_modules', 'jest', 'bin', 'jest.js'), '--json', `--outputFile=${file}`, ...args],
    'inherit',
  );
  const report = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as JestReport) : undefined;
  rmSync(folder, { recursive: true });
  if (report !== undefined) console.log([...slowest(report), ...failures(report)].join('\n'));
  // A test file that cannot be loaded counts as a failure, and so does a run that fails for other reasons.
  const counted = (report?.numFailedTests ?? 0) + (report?.numRuntimeErrorTestSuites ?? 0);
  return {
    name: 'tests',
    passed: report?.numPassedTests ?? 0,
    failed: status === 0 ? counted : Math.max(counted, 1),
    skipped: (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0),
    tookMs: performance.now() - startedAt,
  };
}

function slowest({ testResults }: JestReport): string[] {
  const took = testResults.map(({ name, startTime, endTime }) => ({ name, tookMs: endTime - startTime }));
  took.sort((one, other) => other.tookMs - one.tookMs);
  const lines = took
    .slice(0, SLOWEST)
    .map(({ name, tookMs }) => `  ${(tookMs / 1000).toFixed(1).padStart(6)} s  ${relative(ROOT, name)}`);
  return ['', 'What took longest:', ...lines];
}

/** Lists failures again at the end, where they are easy to find. */
function failures({ testResults }: JestReport): string[] {
  const lines = testResults
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, assertionResults }) => {
      const failed = assertionResults.filter(({ status }) => status === 'failed');
      const titles = failed.length > 0 ? failed.map(({ fullName }) => fullName) : ['the file as a whole'];
      return titles.map((title) => `  ${relative(ROOT, name)}: ${title}`);
    });
  return lines.length === 0 ? [] : ['', 'What failed:', ...lines];
}

/**
 * @param progress `inherit` shows stderr, to which jest writes its progress; its stdout is the report, which is not
 * shown
 */
function start(args: string[], progress: 'inherit' | 'pipe'): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', progress] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
  });
}

function describe({ name, passed, failed, skipped, tookMs }: Verdict): string {
  const counts =
    name === 'tests'
      ? `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
      : failed === 0
        ? 'ok'
        : 'FAILED';
  return `${name.padEnd(6)} ${counts} (${(tookMs / 1000).toFixed(1)} s)`;
}

function sum(verdicts: Verdict[], field: 'passed' | 'failed'): number {
  return verdicts.reduce((total, verdict) => total + verdict[field], 0);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
