import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cgroups, type Ended, run, type Storage, type WorkFolders } from '@baton/runner-kit';
import { type JobContext, NonRetryableError, RetryAfterError, SnoozeError } from '@baton/runner-sdk';
import { Messages } from './messages';
import type { Meaning, ProgramType } from './program-types';

export interface ExecutorOptions {
  storage: Storage;
  work: WorkFolders;
  /** The environment from which `passEnv` and the search path are taken. */
  env: Record<string, string | undefined>;
  cgroups?: Cgroups | undefined;
}

const MEBIBYTE = 1024 * 1024;
const CHECKPOINT = 'checkpoint.json';
/**
 * From `sysexits.h`: usage, data, input, user, host, permission and configuration errors, which a retry does not
 * change.
 */
const FINAL_EXITS = [64, 65, 66, 67, 68, 77, 78];
const LAST_WORDS = 2000;

/** Runs a program for a job. */
export class Executor {
  constructor(private readonly options: ExecutorOptions) {}

  /**
   * @returns the program's result
   * @throws {NonRetryableError} `exec_failed` for a final exit code, `exec_no_output`, `exec_bad_result`
   * @throws {Error} for failures worth a retry: `exec_exit`, `exec_signal`, `exec_memory`, `exec_output`,
   * `exec_timeout`
   */
  execute(type: ProgramType, args: unknown, job: JobContext): Promise<unknown> {
    return this.options.work.with(async (folder) => {
      const given = new Map(Object.entries(isObject(args) ? args : {}));
      await this.prepare(type, given, job, folder);
      const messages = new Messages(job);
      const ended = await this.run(type, args, job, folder, messages);
      job.signal.throwIfAborted();
      if (messages.fault !== undefined) throw messages.fault;
      judge(type, ended, messages);
      const result = resultOf(type, ended, messages);
      await this.keepOutputs(type, given, job, folder);
      return result;
    });
  }

  /** Checks that what the job names is allowed, before anything is done. */
  private async prepare(
    type: ProgramType,
    given: Map<string, unknown>,
    job: JobContext,
    folder: string,
  ): Promise<void> {
    const { storage } = this.options;
    for (const name of Object.keys(type.outputs)) storage.requireWritable(urlOf(type, given, name));
    for (const [name, file] of Object.entries(type.inputs))
      await storage.download(urlOf(type, given, name), join(folder, file), {
        signal: job.signal,
        mostBytes: type.inputMb * MEBIBYTE,
      });
    await writeFile(join(folder, CHECKPOINT), JSON.stringify(job.lastCheckpoint ?? null));
  }

  private run(type: ProgramType, args: unknown, job: JobContext, folder: string, messages: Messages): Promise<Ended> {
    const logLine = (stream: string) => (line: string) => {
      if (type.log && line !== '') job.log.info(line, { stream });
    };
    return run(type.program, type.args, {
      ...{
        cwd: folder,
        env: this.environment(type, job, folder),
        stdin: JSON.stringify(args ?? null),
        signal: job.signal,
      },
      ...{ graceMs: type.graceMs, mostOutputBytes: type.outputMb * MEBIBYTE, cgroups: this.options.cgroups },
      ...(type.timeoutMs !== undefined && { timeoutMs: type.timeoutMs }),
      ...(type.memoryMb !== undefined && { mostMemoryBytes: type.memoryMb * MEBIBYTE }),
      // A result on stdout is not a log, and must be kept whole.
      ...(type.result === 'message' ? { onStdoutLine: logLine('stdout') } : { keepBytes: MEBIBYTE }),
      onStderrLine: logLine('stderr'),
      onMessage: (line) => messages.hear(line),
    });
  }

  /** Contains nothing of the runner's environment, which has its key, except what the type names. */
  private environment({ type, env, passEnv }: ProgramType, job: JobContext, folder: string): Record<string, string> {
    const own = new Map(Object.entries(this.options.env));
    const passed = passEnv.flatMap((name) => (own.get(name) === undefined ? [] : [[name, own.get(name)] as const]));
    return {
      ...{ PATH: own.get('PATH') ?? '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', HOME: folder, TMPDIR: folder },
      ...Object.fromEntries(passed),
      ...env,
      ...{ BATON_JOB_ID: job.id, BATON_TYPE: type, BATON_ATTEMPT: String(job.attempt) },
      ...{ BATON_MAX_ATTEMPTS: String(job.maxAttempts), BATON_USER_ID: job.userId ?? '' },
      ...{ BATON_FD: '3', BATON_CHECKPOINT_FILE: join(folder, CHECKPOINT) },
    };
  }

  private async keepOutputs(
    type: ProgramType,
    given: Map<string, unknown>,
    job: JobContext,
    folder: string,
  ): Promise<void> {
    for (const [name, file] of Object.entries(type.outputs)) {
      try {
        await this.options.storage.upload(urlOf(type, given, name), join(folder, file), { signal: job.signal });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        throw new NonRetryableError(`${type.type} did not make ${file}, which belongs to ${name}`, {
          code: 'exec_no_output',
        });
      }
    }
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function urlOf({ type }: ProgramType, given: Map<string, unknown>, name: string): string {
  const url = given.get(name);
  if (typeof url === 'string') return url;
  throw new NonRetryableError(`${type} needs the argument ${name}, the URL of a file`, { code: 'invalid_arguments' });
}

/** Throws the error that the end of the program means, unless the job is done. */
function judge(type: ProgramType, ended: Ended, messages: Messages): void {
  const { error, snoozeMs } = messages;
  if (ended.endedBy !== null) throw coded(limitText(type, ended), `exec_${ended.endedBy}`);
  if (snoozeMs !== undefined && ended.code === 0) throw new SnoozeError(snoozeMs);
  if (error !== undefined) throw reported(error);
  if (ended.signal !== null)
    throw coded(withLastWords(`${type.type} was ended by ${ended.signal}`, ended), 'exec_signal');
  const text = withLastWords(`${type.type} ended with code ${ended.code}`, ended);
  const meaning = meaningOf(type, ended.code ?? 1);
  if (meaning === 'complete') return;
  if (meaning === 'fail') throw new NonRetryableError(text, { code: 'exec_failed' });
  if (meaning === 'retry') throw coded(text, 'exec_exit');
  if ('snoozeMs' in meaning) throw new SnoozeError(meaning.snoozeMs);
  throw new RetryAfterError(meaning.retryAfterMs, text, { code: 'exec_exit' });
}

function meaningOf({ exits }: ProgramType, code: number): Meaning {
  const own = new Map(Object.entries(exits)).get(String(code));
  if (own !== undefined) return own;
  if (code === 0) return 'complete';
  return FINAL_EXITS.includes(code) ? 'fail' : 'retry';
}

function limitText(type: ProgramType, ended: Ended): string {
  switch (ended.endedBy) {
    case 'memory':
      return withLastWords(`${type.type} was ended: it held more than ${type.memoryMb} MiB of memory`, ended);
    case 'output':
      return `${type.type} was ended: it wrote more than ${type.outputMb} MiB`;
    case 'timeout':
      return withLastWords(`${type.type} was ended after ${type.timeoutMs} ms`, ended);
    default:
      return `${type.type} was ended`;
  }
}

function resultOf({ type, result }: ProgramType, { stdout }: Ended, messages: Messages): unknown {
  switch (result) {
    case 'message':
      return messages.result ?? null;
    case 'text':
      return stdout.toWellFormed().replaceAll('\0', '\ufffd');
    case 'json':
      try {
        return JSON.parse(stdout) as unknown;
      } catch {
        throw new NonRetryableError(`${type} wrote something to stdout that is not JSON: ${stdout.slice(0, 200)}`, {
          code: 'exec_bad_result',
        });
      }
  }
}

function reported(error: NonNullable<Messages['error']>): Error {
  const { message, code, retryable, retryAfterMs } = error;
  const options = code === undefined ? {} : { code };
  if (!retryable) return new NonRetryableError(message, options);
  if (retryAfterMs !== undefined) return new RetryAfterError(retryAfterMs, message, options);
  return Object.assign(new Error(message), options);
}

/** Adds the end of stderr, which nearly always has the reason. */
function withLastWords(text: string, { stderr }: Ended): string {
  const words = stderr.trim().slice(-LAST_WORDS);
  return words === '' ? text : `${text}: ${words.toWellFormed().replaceAll('\0', '\ufffd')}`;
}

function coded(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}
