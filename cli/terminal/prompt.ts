import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import type { Streams } from './terminal';

/** Reads one typed line. */
export async function askLine({ stdin, stderr }: Streams, question: string): Promise<string> {
  const reader = createInterface({ input: stdin, output: stderr });
  try {
    return await reader.question(question);
  } finally {
    reader.close();
  }
}

/** The same, without echo. */
export async function askSecret(streams: Streams, question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  streams.stderr.write(question);
  // The terminal's own echo is off while this reader controls it.
  const reader = createInterface({ input: streams.stdin as ReadStream, output: nowhere, terminal: true });
  try {
    return await reader.question('');
  } finally {
    reader.close();
    streams.stderr.write('\n');
  }
}

/** Reads all of standard input. */
export async function readAll({ stdin }: Pick<Streams, 'stdin'>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stdin) pieces.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(pieces).toString();
}
