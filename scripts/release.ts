import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { packAll, type Packed } from './release/pack';
import { ROOT } from './release/packages';
import { install, tryOut } from './release/try-out';
import { dateChangelog, notesOf, setVersion } from './release/version';

const USAGE = `npm run release -- [options]
  --version X    make the version X: packages, changelog, tarballs, their check, a commit and the tag vX. Nothing is pushed
                 and nothing is published.
  --pack         only pack what is there, and check it
  --out DIR      where the tarballs go (default: packages/)
Then: git push --follow-tags, and npm publish for each tarball, in the order in which they are printed.`;

/** `npm run release`: one version for all packages, and tarballs that were tried out. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      version: { type: 'string' },
      pack: { type: 'boolean', default: false },
      out: { type: 'string', default: 'packages' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || (values.version === undefined && !values.pack)) return console.log(USAGE);
  const out = resolve(values.out);
  if (values.version !== undefined) makeVersion(values.version);
  const packed = packAll(out, repository());
  await check(packed);
  for (const { file } of packed) console.log(file);
  if (values.version !== undefined) tag(values.version);
}

function makeVersion(version: string): void {
  if (git('status', '--porcelain') !== '')
    throw new Error('There are changes that are not committed. Commit them first.');
  if (git('tag', '--list', `v${version}`) !== '') throw new Error(`There is a tag v${version} already.`);
  const changelog = join(ROOT, 'CHANGELOG.md');
  const day = new Date().toISOString().slice(0, 10);
  const dated = dateChangelog(readFileSync(changelog, 'utf8'), version, day);
  setVersion(version);
  writeFileSync(changelog, dated);
  run('npm', ['install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund']);
  // What is generated says the version, too.
  run('npm', ['run', 'build']);
  run('npm', ['run', 'docs']);
}

function tag(version: string): void {
  git('commit', '--all', '--message', `Release ${version}`);
  const notes = notesOf(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'), version);
  git('tag', '--annotate', `v${version}`, '--cleanup=verbatim', '--message', `${version}\n\n${notes}\n`);
}

/** Installs the tarballs in an empty folder, and lets a job run there. */
async function check(packed: readonly Packed[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'baton-release-'));
  try {
    install(
      folder,
      packed.map(({ file }) => file),
    );
    const { result } = await tryOut(folder);
    if (result !== 'Hello packages') throw new Error(`The packages were tried out; the job gave ${result}.`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Where the clone is pushed to; null: nowhere. */
function repository(): string | null {
  try {
    const url = git('remote', 'get-url', 'origin');
    return /^(?:https|git\+https|ssh|git)[:@]/.test(url) ? url : null;
  } catch {
    return null;
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function run(command: string, args: string[], cwd = ROOT): void {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
