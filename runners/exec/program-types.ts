import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { SettingsError } from '@baton/runner-kit';
import { z } from 'zod';

const FILE_NAME = /^(?!\.{1,2}$)[^/\\\0]+$/;
const files = z.record(
  z.string().regex(/^\w+$/, 'must be the name of an argument'),
  z.string().regex(FILE_NAME, 'must be the name of a file, without a folder'),
);

/** What an exit code means. */
const meaning = z.union([
  z.enum(['complete', 'retry', 'fail']),
  z.strictObject({ retryAfterMs: z.int().min(0) }),
  z.strictObject({ snoozeMs: z.int().min(0) }),
]);
export type Meaning = z.infer<typeof meaning>;

const exits = z.record(z.string().regex(/^\d{1,3}$/, 'must be an exit code'), meaning);

const programType = z.strictObject({
  about: z.string().optional(),
  /** The program and its arguments. `./` is relative to the file's folder. */
  command: z.array(z.string()).min(1),
  /** Environment variables beside those that every program gets. */
  env: z.record(z.string(), z.string()).default({}),
  /** Names of the runner's own variables that are passed on. */
  passEnv: z.array(z.string()).default([]),
  /** Files of the storage, by argument: copied under this name into the program's folder before it starts. */
  inputs: files.default({}),
  /** Files that the program creates, by argument: copied to the storage after it has ended. */
  outputs: files.default({}),
  /** Source of the result: a message, or stdout, as JSON or as text. */
  result: z.enum(['message', 'json', 'text']).default('message'),
  /** Whether stdout and stderr become log lines of the job. */
  log: z.boolean().default(true),
  /** Most time of one run, in addition to the job's own timeout. */
  timeoutMs: z.int().min(1).optional(),
  memoryMb: z.int().min(1).optional(),
  /** Most output of stdout, stderr and messages together. */
  outputMb: z.int().min(1).default(64),
  inputMb: z.int().min(1).default(10_240),
  /** How long it may clean up after SIGTERM. */
  graceMs: z.int().min(0).max(600_000).default(4000),
  exits: exits.default({}),
  labels: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
});

const table = z.strictObject({
  types: z.record(z.string().regex(/^[A-Za-z0-9_][\w.:/-]{0,199}$/, 'must be a job type'), programType),
});

/** A job type and its program. */
export type ProgramType = z.output<typeof programType> & { type: string; program: string; args: string[] };

/**
 * Reads the programs of job types.
 * @throws {SettingsError} for an invalid file, and for a missing program
 */
export function readTypes(path: string, searchPath: string): ProgramType[] {
  const read = table.safeParse(jsonOf(path));
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new SettingsError(`EXEC_TYPES ${path}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  return Object.entries(read.data.types).map(([type, settings]) => {
    const [name = '', ...args] = settings.command;
    const program = findProgram(name, dirname(resolve(path)), searchPath);
    if (program === null)
      throw new SettingsError(
        `EXEC_TYPES ${path}: types.${type}.command: ${name} is not there or cannot be executed; install it, or leave the type out`,
      );
    return { ...settings, type, program, args };
  });
}

function findProgram(name: string, folder: string, searchPath: string): string | null {
  const places = name.includes('/')
    ? [isAbsolute(name) ? name : resolve(folder, name)]
    : searchPath.split(delimiter).map((place) => join(place, name));
  return places.find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function jsonOf(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(
      `EXEC_TYPES ${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
