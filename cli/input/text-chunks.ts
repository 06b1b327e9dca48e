import { createReadStream } from 'node:fs';
import { Failure } from '../exit-codes';
import type { Streams } from '../terminal/terminal';

/**
 * The text of a file, or of standard input for `-`, in pieces, without a byte order mark.
 * @throws {Failure} when it cannot be read, or is not UTF-8: another encoding would be stored as other text
 */
export async function* textChunks(path: string, { stdin }: Pick<Streams, 'stdin'>): AsyncGenerator<string> {
  const what = path === '-' ? 'standard input' : path;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw new Failure('usage', `${what} is not UTF-8`, 'Convert it first, such as with iconv -t UTF-8.');
    }
  };
  try {
    for await (const chunk of path === '-' ? stdin : createReadStream(path)) yield decode(Buffer.from(chunk as Buffer));
    yield decode();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure('internal', `${what} cannot be read: ${(error as Error).message}`);
  }
}
