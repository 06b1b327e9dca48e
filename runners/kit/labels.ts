import { availableParallelism, totalmem } from 'node:os';
import { run } from './processes/run';

export type Labels = Record<string, string | number | boolean>;

/** A program of this host. */
export interface Tool {
  path: string;
  /** As the program prints it, such as `5.1.6`. */
  version: string;
}

/** Labels of every runner about its host: `memoryMb`, which a container's limit lowers, and `cpus`. */
export function hostLabels(): Labels {
  // 0 or a huge number if the process is not limited.
  const limit = process.constrainedMemory();
  const bytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { memoryMb: Math.floor(bytes / 1024 / 1024), cpus: availableParallelism() };
}

/**
 * Finds a program and its version.
 * @param version matches the version in the program's output, as the first group
 * @returns null when it is missing, or does not answer within 10 s
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
