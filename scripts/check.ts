import { join } from 'node:path';
import { installChromium } from './chromium';
import { installTmux } from './debian';
import { fetchPostgres } from './postgres';
import { type Verdict, conclude, runJest, start } from './verdict';

/**
 * Runs all checks that a change must pass. Arguments are passed to jest, so `npm test -- test/jobs` runs some of the
 * tests. The last line is `N passed, N failed`, with `, N skipped` if any were; types, lint and format count as one
 * each.
 */
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
  conclude(verdicts);
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

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
