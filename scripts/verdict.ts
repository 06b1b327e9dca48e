import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

/** What became of one check, or of a run of jest. */
export interface Verdict {
  name: string;
  passed: number;
  failed: number;
  skipped: number;
  tookMs: number;
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
    assertionResults: { fullName: string; ancestorTitles: string[]; status: string }[];
  }[];
}

const ROOT = join(__dirname, '..', '..');
/** Number of test files that are listed as the slowest. */
const SLOWEST = 12;

/** Prints the verdicts and, as the last line, their sums, and sets the status with which this process will exit. */
export function conclude(verdicts: Verdict[]): void {
  console.log('');
  for (const verdict of verdicts) console.log(describe(verdict));
  const [failed, skipped] = [sum(verdicts, 'failed'), sum(verdicts, 'skipped')];
  console.log(`${sum(verdicts, 'passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed === 0 ? 0 : 1;
}

/** Runs jest and lists, at its end, what took longest and what failed. */
export async function runJest(args: string[]): Promise<Verdict> {
  const startedAt = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'baton-check-'));
  const file = join(folder, 'report.json');
  const { status } = await start(
    [join('node_modules', 'jest', 'bin', 'jest.js'), '--json', `--outputFile=${file}`, ...args],
    'inherit',
  );
  const report = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as JestReport) : undefined;
  rmSync(folder, { recursive: true });
  if (report !== undefined) console.log([...slowest(report), ...skips(report), ...failures(report)].join('\n'));
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

/**
 * Runs a script of Node in the project's folder.
 * @param progress `inherit` shows stderr, to which jest writes its progress; its stdout is the report, which is not
 * shown
 */
export function start(
  args: string[],
  progress: 'inherit' | 'pipe',
): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', progress] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
  });
}

function slowest({ testResults }: JestReport): string[] {
  const took = testResults.map(({ name, startTime, endTime }) => ({ name, tookMs: endTime - startTime }));
  took.sort((one, other) => other.tookMs - one.tookMs);
  const lines = took
    .slice(0, SLOWEST)
    .map(({ name, tookMs }) => `  ${(tookMs / 1000).toFixed(1).padStart(6)} s  ${relative(ROOT, name)}`);
  return ['', 'What took longest:', ...lines];
}

/** A group of tests that is skipped as a whole says why in its title. */
function skips({ testResults }: JestReport): string[] {
  const lines = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'pending')
      .map(({ fullName, ancestorTitles }) => `  ${relative(ROOT, name)}: ${ancestorTitles[0] ?? fullName}`),
  );
  return lines.length === 0 ? [] : ['', 'What was skipped:', ...new Set(lines)];
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

function describe({ name, passed, failed, skipped, tookMs }: Verdict): string {
  const counts =
    name === 'tests'
      ? `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
      : failed === 0
        ? 'ok'
        : 'FAILED';
  return `${name.padEnd(6)} ${counts} (${(tookMs / 1000).toFixed(1)} s)`;
}

function sum(verdicts: Verdict[], field: 'passed' | 'failed' | 'skipped'): number {
  return verdicts.reduce((total, verdict) => total + verdict[field], 0);
}
