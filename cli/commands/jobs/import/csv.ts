import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CsvError, parse } from 'csv-parse';
import { Failure } from '../../../exit-codes';

const DELIMITERS = [',', ';', '\t'];
const MOST_RECORD_SIZE = 32 * 1024 * 1024;

export interface CsvRecord {
  cells: ReadonlyMap<string, string>;
  line: number;
  text: string;
}

interface Parsed {
  record: string[];
  info: { lines: number };
  raw: string;
}

/** The records below the head, whose cells have the names that stand in it. */
export async function* csvRecords(
  chunks: AsyncGenerator<string>,
  { path, delimiter }: { path: string; delimiter: string | undefined },
): AsyncGenerator<CsvRecord> {
  const first = await firstPiece(chunks);
  const parser = parse({
    delimiter: delimiter ?? likelyDelimiter(first),
    info: true,
    raw: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MOST_RECORD_SIZE,
  });
  // It destroys the parser with its error, which the loop below then throws.
  pipeline(Readable.from(rejoined(first, chunks)), parser).catch(() => undefined);
  let head: string[] | undefined;
  try {
    for await (const { record, info, raw } of parser as AsyncIterable<Parsed>) {
      if (head === undefined) head = headOf(record, path);
      else yield { cells: cellsOf(head, record), line: info.lines, text: raw.replace(/\r?\n$/, '') };
    }
  } catch (error) {
    if (error instanceof CsvError)
      throw new Failure(
        'usage',
        `${path} is not CSV: ${error.message}`,
        'Quote cells that hold quotes or line breaks.',
      );
    throw error;
  } finally {
    parser.destroy();
  }
}

/** At least the whole first line. */
async function firstPiece(chunks: AsyncGenerator<string>): Promise<string> {
  let text = '';
  while (!text.includes('\n')) {
    const next = await chunks.next();
    if (next.done === true) break;
    text += next.value;
  }
  return text;
}

async function* rejoined(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}

/** The one that the head has most of. */
function likelyDelimiter(text: string): string {
  const head = text.split('\n', 1)[0] ?? '';
  const counts = DELIMITERS.map((delimiter) => head.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))] ?? ',';
}

function headOf(record: readonly string[], path: string): string[] {
  const names = record.map((name) => name.trim());
  const twice = names.find((name, index) => name === '' || names.indexOf(name) !== index);
  if (twice === undefined) return names;
  const what = twice === '' ? 'a column without a name' : `two columns named ${twice}`;
  throw new Failure('usage', `${path} has ${what}`, 'The first line names the columns, each with a name of its own.');
}

/** Cells without a column get numbers as names, so that the row is refused and not cut. */
function cellsOf(head: readonly string[], record: readonly string[]): Map<string, string> {
  return new Map(record.map((cell, index) => [head[index] ?? `#${index + 1}`, cell]));
}
