// Leaves in a folder only what one workspace needs at run time: slim.mjs FOLDER WORKSPACE. Plain Node, because it runs
// while an image is built.
import { cpSync, existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const [target = '', workspace = ''] = process.argv.slice(2);
/** What nobody runs: maps, and types; and the query compilers of databases that are not PostgreSQL. */
const UNUSED = /\.(?:map|d\.[cm]?ts|tsbuildinfo)$|query_compiler_\w+\.(?:cockroachdb|mysql|sqlite|sqlserver)\./;

const scope = join(target, 'node_modules', '@baton');
const kept = readdirSync(scope).map((name) => relative(realpathSync(target), realpathSync(join(scope, name))));
const manifest = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'));
const roots = new Set(['node_modules', ...kept.map((folder) => folder.split('/')[0])]);
for (const { name } of readdirSync(target, { withFileTypes: true }).filter((one) => one.isDirectory()))
  if (!roots.has(name)) rmSync(join(target, name), { recursive: true });
// Folders of which only some are kept, such as runners/.
for (const parent of new Set(kept.filter((folder) => folder.includes('/')).map(dirname)))
  for (const name of readdirSync(join(target, parent)))
    if (!kept.includes(`${parent}/${name}`)) rmSync(join(target, parent, name), { recursive: true });
for (const folder of kept) {
  const { files = ['dist'] } = JSON.parse(readFileSync(join(target, folder, 'package.json'), 'utf8'));
  for (const name of files)
    if (existsSync(join(folder, name))) cpSync(join(folder, name), join(target, folder, name), { recursive: true });
}
const { name, version, license } = manifest;
writeFileSync(
  join(target, 'package.json'),
  `${JSON.stringify({ name, version, license, private: true, workspaces: kept }, null, 2)}\n`,
);
rmSync(join(target, 'package-lock.json'));
prune(target);
const { main } = JSON.parse(readFileSync(join(target, workspace, 'package.json'), 'utf8'));
writeFileSync(join(target, 'main.cjs'), `require('./${workspace}/${main}');\n`);

function prune(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) prune(path);
    else if (UNUSED.test(entry.name)) rmSync(path);
  }
}
