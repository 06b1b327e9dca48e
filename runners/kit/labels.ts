import { availableParallelism, totalmem } from 'node:os';
import { run } from './processes/run';

export type Labels = Record<string, string | number | boolean>;

/** A program of this host. */
export interface Tool {
  path: string;
  /** As it tells itself, such as `5.1.6`. */
  version: string;
}

/** What every runner tells of its host: `memoryMb`, which a container's limit lowers, and `cpus`. */
export function hostLabels(): Labels {
  // 0 or a huge number where nothing limits the process.
  const limit = process.constrainedMemory();
  const bytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { memoryMb: Math.floor(bytes / 1024 / 1024), cpus: availableParallelism() };
}

/**
 * Looks for a program and asks it for its version.
 * @param version where in what it prints its version stands, as the first group
 * @returns null when it is not there, or does not answer within 10 s
 */
export async function findTool(program: string, args: string[], version: RegExp): Promise<Tool | null> {
  try {
    const ended = await run(program, args, { timeoutMs: 10_000, keepBytes: 65_536 });
    const found = version.exec(`${ended.stdout}\n${ended.stderr}`)?.[1];
    return found === undefined ? null : { path: program, version: found };
  } catch {
    return null;
  }
}
