import { NonRetryableError } from '@baton/runner-sdk';
import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type BatchArguments, type Quote, quoteRow } from './job';

/** The quotes a batch works on. */
export interface Input {
  /** All quotes of the source: duplicates and years are checked over all of them, not only over the slice. */
  quotes: readonly Quote[];
  /** The slice to process: from `start` to before `end`. */
  start: number;
  end: number;
  /** Tells whether another attempt worked on the same quotes; hexadecimal SHA-256. */
  digest: string;
}

export const MAX_FILE_BYTES = 32 * 1024 * 1024;
export const MAX_QUOTES = 100_000;

/**
 * Reads the quotes that the arguments name.
 * @throws {NonRetryableError} when they cannot be read, however often it is tried; the message says why
 */
export async function readInput(
  { quotes, file, offset, count }: BatchArguments,
  quotesDirectory: string,
): Promise<Input> {
  const source =
    quotes === undefined ? await readQuotesFile(quotesDirectory, file ?? '') : { quotes, text: JSON.stringify(quotes) };
  const total = source.quotes.length;
  if (offset >= total)
    throw new NonRetryableError(`offset ${offset} is past the end: there are ${total} quotes, counted from 0`);
  return {
    quotes: source.quotes,
    start: offset,
    end: count === undefined ? total : Math.min(total, offset + count),
    digest: createHash('sha256').update(source.text).digest('hex'),
  };
}

async function readQuotesFile(directory: string, file: string): Promise<{ quotes: Quote[]; text: string }> {
  const location = await locate(directory, file);
  const { size } = await stat(location);
  if (size > MAX_FILE_BYTES)
    throw new NonRetryableError(`file ${JSON.stringify(file)} has ${size} bytes; at most ${MAX_FILE_BYTES} are read`);
  const text = await readFile(location, 'utf8');
  return { quotes: parseQuotes(text, file), text };
}

/**
 * The real path of a file inside `directory`. A producer names files of the runner's host here, so neither `..` nor an
 * absolute path nor a symbolic link may lead outside, and nothing but a regular file is opened.
 */
async function locate(directory: string, file: string): Promise<string> {
  const name = JSON.stringify(file);
  const outside = new NonRetryableError(`file ${name} must be inside the runner's directory of quotes (QUOTES_DIR)`);
  if (file.includes('\0') || path.isAbsolute(file) || path.win32.isAbsolute(file)) throw outside;
  if (!isInside(directory, path.resolve(directory, file))) throw outside;
  const root = await realpath(directory);
  const location = await realpath(path.resolve(root, file)).catch((error: NodeJS.ErrnoException) => {
    if (!PERMANENT_CODES.has(error.code ?? '')) throw error;
    throw new NonRetryableError(`there is no file ${name} in the runner's directory of quotes (QUOTES_DIR)`);
  });
  if (!isInside(root, location)) throw outside;
  if (!(await stat(location)).isFile()) throw new NonRetryableError(`${name} is not a regular file`);
  return location;
}

const PERMANENT_CODES = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG']);

function isInside(directory: string, location: string): boolean {
  const relative = path.relative(directory, location);
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

function parseQuotes(text: string, file: string): Quote[] {
  const rows = z.array(z.unknown()).min(1).max(MAX_QUOTES).safeParse(parseJson(text, file));
  if (!rows.success)
    throw new NonRetryableError(`file ${JSON.stringify(file)} must hold a JSON array of 1 to ${MAX_QUOTES} quotes`);
  return rows.data.map((row, index) => {
    const parsed = quoteRow.safeParse(row);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new NonRetryableError(
      `file ${JSON.stringify(file)}, row ${index}: ${[...(issue?.path ?? []), issue?.message].join(' ')}`,
    );
  });
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    // The parser's message quotes the file, which readers of the job may not be allowed to see.
    throw new NonRetryableError(`file ${JSON.stringify(file)} is not JSON`);
  }
}
