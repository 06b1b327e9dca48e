import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, WorkFolders } from '@baton/runner-kit';
import { eventually } from '../support/eventually';

const ROOT = join(__dirname, '..', '..');
const sh = (script: string, options = {}) => run('/bin/sh', ['-c', script], options);
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'baton-kit-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/ Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
/** A process number that a program has written into this file. */
const written = (name: string): Promise<number> =>
  eventually(
    () => (existsSync(join(folder, name)) ? Number(readFileSync(join(folder, name), 'utf8').trim()) : 0),
    (pid) => pid > 0,
  );

describe('run', () => {
  it('gives input, environment and folder, and keeps the end of what is written', async () => {
    const lines: string[] = [];
    const messages: string[] = [];
    const ended = await sh('cat; pwd; env; echo bad >&2; echo \'{"progress":5}\' >&3; seq 1 10000; exit 3', {
      ...{ stdin: 'hello\n', cwd: folder, env: { ONLY: 'this' }, keepBytes: 100 },
      onStdoutLine: (line: string) => lines.push(line),
      onMessage: (line: string) => messages.push(line),
    });
    expect(ended).toMatchObject({ code: 3, signal: null, endedBy: null, stderr: 'bad\n' });
    expect(ended.stdout).toHaveLength(100);
    expect(ended.stdout).toMatch(/9999\n10000\n$/);
    expect(lines.slice(0, 2)).toEqual(['hello', folder]);
    expect(lines).toContain('ONLY=this');
    expect(lines.some((line) => line.startsWith('HOME='))).toBe(false);
    expect(lines.at(-1)).toBe('10000');
    expect(messages).toEqual(['{"progress":5}']);
  });

  it('ends the whole group: at the end of its leader, at an abort, and a deaf one at the end of its grace', async () => {
    await sh(`sleep 600 & echo $! > ${folder}/left; true`);
    expect(isAlive(await written('left'))).toBe(false);
    const stop = new AbortController();
    const deaf = sh(`trap '' TERM; sleep 600 & echo $! > ${folder}/child; while :; do wait; done`, {
      ...{ signal: stop.signal, graceMs: 50 },
    });
    const child = await written('child');
    stop.abort();
    expect(await deaf).toMatchObject({ code: null, signal: 'SIGKILL', endedBy: 'signal' });
    expect(isAlive(child)).toBe(false);
  });

  it('lets a program tidy up when its time is over', async () => {
    const ended = await sh("trap 'echo tidy; exit 7' TERM; while :; do sleep 0.05; done", { timeoutMs: 200 });
    expect(ended).toMatchObject({ code: 7, endedBy: 'timeout', stdout: 'tidy\n' });
  });

  it('ends what writes too much, and what holds too much memory, its children counted', async () => {
    expect(await sh('yes', { mostOutputBytes: 1_000_000 })).toMatchObject({ endedBy: 'output', signal: 'SIGKILL' });
    const hungry = `${process.execPath} -e "const a = []; setInterval(() => a.push(Buffer.alloc(8e6, 1)), 10)"`;
    const ended = await sh(`${hungry} & wait`, { mostMemoryBytes: 150e6 });
    expect(ended).toMatchObject({ endedBy: 'memory' });
    expect(ended.memoryPeakBytes).toBeGreaterThan(150e6);
  });

  it('says why a program cannot be started', async () => {
    await expect(run('no-such-program', [])).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('ends with a runner that is killed', async () => {
    const program = join(folder, 'runner.js');
    writeFileSync(
      program,
      `const { run } = require(${JSON.stringify(join(ROOT, 'runners', 'kit'))});
       run('/bin/sh', ['-c', 'sleep 600 & echo $! > ${folder}/grandchild; wait']);`,
    );
    const runner = spawn(process.execPath, [program], { stdio: 'inherit' });
    const grandchild = await written('grandchild');
    runner.kill('SIGKILL');
    await once(runner, 'exit');
    await eventually(
      () => isAlive(grandchild),
      (alive) => !alive,
    );
  });
});

describe('work folders', () => {
  it('are deleted with their job, and what a killed runner left with the next start', async () => {
    const work = new WorkFolders(folder);
    await work.open();
    let used = '';
    await expect(
      work.with(async (path) => {
        used = path;
        writeFileSync(join(path, 'x'), 'x');
        throw new Error('failed');
      }),
    ).rejects.toThrow('failed');
    expect(existsSync(used)).toBe(false);

    const program = `const { WorkFolders } = require(${JSON.stringify(join(ROOT, 'runners', 'kit'))});
      const work = new WorkFolders(${JSON.stringify(folder)});
      work.open().then(() => work.with(async () => { console.log('ready'); process.kill(process.pid, 'SIGKILL'); }));`;
    await once(spawn(process.execPath, ['-e', program], { stdio: 'ignore' }), 'exit');
    expect(readdirSync(folder)).toHaveLength(2);
    const next = new WorkFolders(folder);
    await next.open();
    expect(readdirSync(folder)).toHaveLength(2);
    next.close();
    work.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leave alone what does not say whose it is', async () => {
    writeFileSync(join(folder, 'mine'), 'x');
    const work = new WorkFolders(folder);
    await work.open();
    work.close();
    expect(readdirSync(folder)).toEqual(['mine']);
  });
});
