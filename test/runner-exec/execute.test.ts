import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cgroups, readSettings, Storage, storageSettings, WorkFolders } from '@baton/runner-kit';
import { localContent, transcript } from '@baton/runner-exec/jobs';
import { defineJob, type JobDefinition } from '@baton/runner-sdk';
import { runHandler, type RunHandlerOptions, startHandler } from '@baton/runner-sdk/testing';
import { Executor } from '../../runners/exec/execute';
import { type ProgramType, readTypes } from '../../runners/exec/program-types';
import { eventually } from '../support/eventually';

const ROOT = join(__dirname, '..', '..');
const readme = readFileSync(join(ROOT, 'runners', 'exec', 'README.md'), 'utf8');
const has = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;
let folder: string;
let work: WorkFolders;
let searchPath: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-exec-'));
  for (const name of ['bin', 'storage']) mkdirSync(join(folder, name));
  searchPath = `${join(folder, 'bin')}:${process.env['PATH']}`;
  work = new WorkFolders(join(folder, 'work'));
  await work.open();
});
afterEach(() => {
  work.close();
  rmSync(folder, { recursive: true, force: true });
});

function script(name: string, text: string): string {
  const path = join(folder, 'bin', name);
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

/** A type whose program is this text of a shell. */
function typeOf(text: string, more: object = {}): ProgramType {
  script('program.sh', `#!/bin/sh\n${text}`);
  const path = join(folder, 'types.json');
  writeFileSync(path, JSON.stringify({ types: { test: { command: ['program.sh'], ...more } } }));
  return only(readTypes(path, searchPath));
}

function only(types: ProgramType[]): ProgramType {
  const [type] = types;
  if (type === undefined) throw new Error('no type');
  return type;
}

function executor(env: Record<string, string> = {}, cgroups?: Cgroups): Executor {
  const settings = readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${join(folder, 'storage')}` } });
  return new Executor({ storage: new Storage(settings, folder), work, env: { PATH: searchPath, ...env }, cgroups });
}

const anyJob: JobDefinition = defineJob({ type: 'test' });
const go = (type: ProgramType, args: unknown = {}, options: RunHandlerOptions = {}, by = executor()) =>
  runHandler(anyJob, (given, job) => by.execute(type, given, job), args, options);

describe('a program', () => {
  it('gets its arguments, its folder and a clean environment, and is heard', async () => {
    const type = typeOf(
      `cat > in; pwd > where; env | sort | cut -d= -f1 | tr '\\n' ' '
       echo '{"progress":40,"message":"so far"}' >&3
       echo '{"log":"careful","level":"warn","fields":{"row":7}}' >&3
       echo '{"checkpoint":{"row":7},"metric":{"rows":3}}' >&3
       echo 'no json' >&3
       printf '{"result":%s}' "$(cat in)" >&3
       echo oops >&2`,
      { passEnv: ['GIVEN'], env: { OWN: '1' } },
    );
    const run = await go(
      type,
      { name: 'Ada "$HOME" `x`' },
      { id: 'job-1' },
      executor({ GIVEN: 'x', RUNNER_KEY: 'secret' }),
    );
    expect(run).toMatchObject({
      ...{ outcome: 'completed', result: { name: 'Ada "$HOME" `x`' }, checkpoints: [{ row: 7 }], metrics: { rows: 3 } },
      progress: [{ percent: 40, message: 'so far' }],
    });
    const lines = run.logs.map(({ level, message }) => `${level} ${message}`);
    expect(lines).toEqual(
      expect.arrayContaining(['warn careful', 'info oops', 'warn the program sent a message that is none']),
    );
    const names = lines.find((line) => line.includes('BATON_JOB_ID'));
    expect(names).toContain('BATON_ATTEMPT BATON_CHECKPOINT_FILE BATON_FD BATON_JOB_ID');
    expect(names).toMatch(/ GIVEN .* OWN /);
    expect(names).not.toContain('RUNNER_KEY');
    expect(readdirSync(join(folder, 'work')).flatMap((own) => readdirSync(join(folder, 'work', own)))).toEqual([
      'owner.json',
    ]);
  });

  it('finds the checkpoint of the attempt before', async () => {
    const type = typeOf('cat "$BATON_CHECKPOINT_FILE"', { result: 'json' });
    expect((await go(type, {}, { lastCheckpoint: { row: 7 } })).result).toEqual({ row: 7 });
    expect((await go(type)).result).toBeNull();
  });

  it('is no shell: what arguments of the command hold stays what it is', async () => {
    const type = typeOf('printf "%s" "$1"', { command: ['program.sh', '$(id); `id` *'], result: 'text' });
    expect((await go(type)).result).toBe('$(id); `id` *');
  });

  it('takes files from the storage and gives its own back, in full or not at all', async () => {
    writeFileSync(join(folder, 'storage', 'in.txt'), 'hello');
    // The shell's own expansion.
    // eslint-disable-next-line no-template-curly-in-string
    const type = typeOf('tr a-z A-Z < source.txt > target.txt; exit "${1:-0}"', {
      ...{ inputs: { source: 'source.txt' }, outputs: { target: 'target.txt' } },
    });
    const args = { source: 'file:in.txt', target: 'file:out.txt' };
    expect(await go(type, args)).toMatchObject({ outcome: 'completed', result: null });
    expect(readFileSync(join(folder, 'storage', 'out.txt'), 'utf8')).toBe('HELLO');
    const failing = { ...type, args: ['1'] };
    await go(failing, { ...args, target: 'file:none.txt' });
    expect(existsSync(join(folder, 'storage', 'none.txt'))).toBe(false);
    expect((await go(type, { ...args, target: 'file:../out' })).error).toMatchObject({ code: 'storage_outside_roots' });
    expect((await go(type, { source: 'file:in.txt' })).error).toMatchObject({ code: 'invalid_arguments' });
    const lazy = typeOf('true', { outputs: { target: 'target.txt' } });
    expect((await go(lazy, args)).error).toMatchObject({ code: 'exec_no_output', retryable: false });
  });
});

describe('an end', () => {
  it.each([
    ['exit 0', 'completed', undefined, true],
    ['echo why >&2; exit 1', 'failed', 'exec_exit', true],
    ['exit 75', 'failed', 'exec_exit', true],
    ['exit 65', 'failed', 'exec_failed', false],
    ['kill -9 $$', 'failed', 'exec_signal', true],
    ['echo \'{"error":{"message":"no","code":"mine","retryable":false}}\' >&3', 'failed', 'mine', false],
    ['echo \'{"error":"no"}\' >&3', 'failed', 'Error', true],
    ['echo \'{"snoozeMs":5000}\' >&3', 'snoozed', undefined, true],
    ['exit 3', 'failed', 'exec_failed', false],
    ['exit 4', 'completed', undefined, true],
    ['exit 5', 'failed', 'exec_exit', true],
    ['exit 6', 'snoozed', undefined, true],
    ['yes', 'failed', 'exec_output', true],
    ['sleep 600', 'failed', 'exec_timeout', true],
  ])('%s', async (text, outcome, code, retryable) => {
    const exits = { 3: 'fail', 4: 'complete', 5: { retryAfterMs: 9000 }, 6: { snoozeMs: 7000 } };
    const limits = text.startsWith('sleep') ? { timeoutMs: 100 } : {};
    const run = await go(typeOf(text, { exits, outputMb: 1, log: false, ...limits }));
    expect([run.outcome, run.error?.code, run.error?.retryable ?? true]).toEqual([outcome, code, retryable]);
    if (text.startsWith('echo why')) expect(run.error?.message).toBe('test ended with code 1: why');
    if (text === 'exit 5') expect(run.error?.retryAfterMs).toBe(9000);
  });

  it('with too much memory', async () => {
    const hungry = `${process.execPath} -e "const a = []; setInterval(() => a.push(Buffer.alloc(8e6, 1)), 10)" & wait`;
    const { error } = await go(typeOf(hungry, { memoryMb: 150 }));
    expect(error).toMatchObject({
      code: 'exec_memory',
      message: 'test was ended: it held more than 150 MiB of memory',
    });
  });

  it('by a cancel: SIGTERM, and SIGKILL to all that is left', async () => {
    const type = typeOf(
      `trap 'echo tidied > "$1"' TERM; (trap '' TERM; exec sleep 600) & echo $! > "$1.child"; while :; do wait; done`,
      { command: ['program.sh', join(folder, 'mark')], graceMs: 300 },
    );
    let program: Promise<unknown> | undefined;
    const running = startHandler(anyJob, (given, job) => (program = executor().execute(type, given, job)), {});
    const child = await eventually(() =>
      existsSync(join(folder, 'mark.child')) ? readFileSync(join(folder, 'mark.child'), 'utf8').trim() : '',
    );
    running.cancel();
    expect(await running.ended).toMatchObject({ outcome: 'cancelled' });
    // A cancelled attempt ends at once, and its program when it has tidied up.
    await program?.catch(() => undefined);
    expect(readFileSync(join(folder, 'mark'), 'utf8')).toBe('tidied\n');
    await eventually(() => !existsSync(`/proc/${child}`) || / Z /.test(readFileSync(`/proc/${child}/stat`, 'utf8')));
  });
});

describe('the table', () => {
  it.each([
    [{ command: ['no-such-program'] }, 'types.a.command: no-such-program is not there or cannot be executed'],
    [{ command: [] }, 'types.a.command'],
    [{ command: ['sh'], memory: 5 }, 'types.a'],
    [{ command: ['sh'], inputs: { source: '../x' } }, 'types.a.inputs.source must be the name of a file'],
    [{ command: ['sh'], exits: { ok: 'complete' } }, 'types.a.exits'],
  ])('refuses %j', (type, fault) => {
    const path = join(folder, 'types.json');
    writeFileSync(path, JSON.stringify({ types: { a: type } }));
    expect(() => readTypes(path, searchPath)).toThrow(fault);
  });
});

describe('the examples of the README', () => {
  const example = (language: string): string => {
    const code = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(
      readme.split('## What a program says')[1] ?? '',
    )?.[1];
    if (code === undefined) throw new Error(`the README has no example in ${language}`);
    return code;
  };
  const cases: [string, string, string[], boolean][] = [
    ['python', 'a.py', ['python3'], has('python3', '--version')],
    ['ruby', 'a.rb', ['ruby'], has('ruby', '--version')],
    ['go', 'a.go', ['go', 'run'], has('go', 'version')],
    ['sh', 'a.sh', ['sh'], has('jq', '--version')],
  ];
  const there = cases.filter(([, , , isThere]) => isThere);

  it.each(there)('in %s', async (language, file, command) => {
    const path = script(file, example(language));
    const types = join(folder, 'types.json');
    writeFileSync(types, JSON.stringify({ types: { a: { command: [...command, path], passEnv: ['GOCACHE'] } } }));
    const run = await go(only(readTypes(types, searchPath)), { count: 4 }, { lastCheckpoint: 2 });
    expect(run.error).toBeNull();
    expect(run.result).toEqual({ sum: 6 });
    expect(run.checkpoints).toEqual([3, 4]);
    expect(run.progress).toHaveLength(2);
  });
});

describe('ready configurations', () => {
  const configured = (name: string) =>
    only(readTypes(join(ROOT, 'runners', 'exec', 'configurations', `${name}.json`), searchPath));
  const withJq = has('jq', '--version') ? it : it.skip;

  withJq('transcript, with a stand-in for whisper-cli', async () => {
    writeFileSync(join(folder, 'storage', 'talk.wav'), 'RIFF');
    script(
      'whisper-cli',
      `#!/bin/sh
[ "$*" = "-m /models/base.bin -l en -f source.wav -otxt -of transcript -pp" ] || { echo "given $*" >&2; exit 2; }
for p in 5 50 100; do echo "whisper_print_progress_callback: progress =  $p%" >&2; done
[ "$(cat source.wav)" = RIFF ] && echo "so it begins" > transcript.txt`,
    );
    const type = configured('transcript');
    const by = executor({ WHISPER_MODEL: '/models/base.bin' });
    const args = { source: 'file:talk.wav', target: 'file:talk.txt', language: 'en' };
    const run = await runHandler(
      transcript,
      (given, job) => by.execute(type, given, job) as Promise<{ words: number }>,
      args,
    );
    expect(run.error).toBeNull();
    expect(run.result).toEqual({ words: 3 });
    expect(run.progress.map(({ percent }) => percent)).toEqual([5, 50, 100]);
    expect(readFileSync(join(folder, 'storage', 'talk.txt'), 'utf8')).toBe('so it begins\n');
    script('whisper-cli', '#!/bin/sh\necho "not a WAV file" >&2; exit 1');
    const refused = await runHandler(
      transcript,
      (given, job) => by.execute(type, given, job) as Promise<{ words: number }>,
      args,
    );
    expect(refused.error).toMatchObject({ code: 'exec_failed', message: expect.stringContaining('not a WAV file') });
  });

  withJq('local-content, with a stand-in for ollama', async () => {
    script('ollama', '#!/bin/sh\necho "$2 was asked: $(cat)"');
    const type = configured('local-content');
    const args = { model: 'llama3.2', prompt: '--help "$(id)"' };
    const run = await runHandler(
      localContent,
      (given, job) => executor().execute(type, given, job) as Promise<{ text: string }>,
      args,
    );
    expect(run.result).toEqual({ text: 'llama3.2 was asked: --help "$(id)"' });
  });
});

describe('cgroups', () => {
  const mounted = readFileSync('/proc/mounts', 'utf8').match(/^cgroup2 (\S+) cgroup2/m)?.[1];
  const own = mounted === undefined ? '' : join(mounted, `baton-test-${process.pid}`);
  const isDelegated = ((): boolean => {
    try {
      mkdirSync(own);
      return existsSync(join(own, 'cgroup.procs'));
    } catch {
      return false;
    }
  })();
  afterAll(() => {
    if (isDelegated) spawnSync('rmdir', [own]);
  });

  (isDelegated ? it : it.skip)('hold even what makes a session of its own', async () => {
    const cgroups = await Cgroups.open(own);
    const type = typeOf('setsid sleep 600 & echo $! > "$1"; wait', {
      command: ['program.sh', join(folder, 'pid')],
      graceMs: 100,
    });
    const running = startHandler(anyJob, (given, job) => executor({}, cgroups).execute(type, given, job), {});
    const pid = await eventually(() =>
      existsSync(join(folder, 'pid')) ? readFileSync(join(folder, 'pid'), 'utf8').trim() : '',
    );
    running.expireTimeout();
    expect(await running.ended).toMatchObject({ outcome: 'failed' });
    await eventually(() => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
    await eventually(() => readdirSync(own).filter((name) => name.startsWith('baton-')).length === 0);
  });

  it('get the limit where the memory controller is delegated', async () => {
    const fake = join(folder, 'cgroup');
    mkdirSync(fake);
    for (const [name, text] of [
      ['cgroup.procs', ''],
      ['cgroup.subtree_control', 'memory'],
    ])
      writeFileSync(join(fake, String(name)), String(text));
    const cgroups = await Cgroups.open(fake);
    expect(cgroups.limitsMemory).toBe(true);
    const group = await cgroups.create(1_000_000);
    expect(readFileSync(join(group.path, 'memory.max'), 'utf8')).toBe('1000000');
    writeFileSync(join(group.path, 'memory.events'), 'oom 1\noom_kill 2\n');
    expect(await group.wasOutOfMemory()).toBe(true);
  });

  it('are refused where there are none', async () => {
    await expect(Cgroups.open(folder)).rejects.toThrow('is no folder of cgroup v2');
  });
});
