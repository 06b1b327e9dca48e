import { readFileSync } from 'node:fs';
import { Failure } from '../exit-codes';
import { readAll } from '../terminal/prompt';
import type { Streams } from '../terminal/terminal';

/** The content of a file, or standard input for `-`; without a byte order mark. */
export async function readText(path: string, streams: Pick<Streams, 'stdin'>): Promise<string> {
  try {
    const text = path === '-' ? await readAll(streams) : readFileSync(path, 'utf8');
    return text.replace(/^\ufeff/, '');
  } catch (error) {
    const what = path === '-' ? 'standard input' : path;
    throw new Failure('internal', `${what} cannot be read: ${(error as Error).message}`);
  }
}
