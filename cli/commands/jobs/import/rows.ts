import type { Streams } from '../../../terminal/terminal';
import { textChunks } from '../../../input/text-chunks';
import { Failure } from '../../../exit-codes';
import { csvRecords } from './csv';
import { jobOfCells, jobOfLine, type JobShape } from './job';
import type { RowFault } from './row-fault';

export type Format = 'ndjson' | 'csv';

/** One row of a file, with the job that it means. */
export interface Row {
  /** From 1; the head of a CSV file is none. */
  number: number;
  /** Where it stands in the file, from 1; for a row of several lines the last of them. */
  line: number;
  /** As it is written in the file. */
  text: string;
  job: Record<string, unknown> | RowFault;
}

/** A line longer than this is no job that the coordinator would take. */
const MOST_LINE_LENGTH = 32 * 1024 * 1024;

export interface Source {
  path: string;
  format: Format;
  /** Between the cells of a CSV file; undefined: found from its head. */
  delimiter: string | undefined;
}

/** Every row of the file, one after the other, so that a file may be larger than the memory. */
export async function* readRows(
  source: Source,
  shape: JobShape,
  streams: Pick<Streams, 'stdin'>,
): AsyncGenerator<Row, void, undefined> {
  const chunks = textChunks(source.path, streams);
  let number = 0;
  if (source.format === 'csv') {
    for await (const { cells, line, text } of csvRecords(chunks, source)) {
      number += 1;
      yield { number, line, text, job: await jobOfCells(cells, shape) };
    }
    return;
  }
  for await (const { line, text } of linesOf(chunks)) {
    if (text.trim() === '') continue;
    number += 1;
    yield { number, line, text, job: await jobOfLine(text, shape) };
  }
}

async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<{ line: number; text: string }> {
  let line = 0;
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const text of parts) yield { line: (line += 1), text };
    if (rest.length > MOST_LINE_LENGTH)
      throw new Failure('usage', `line ${line + 1} is too long for a job`, 'Write one JSON value a line.');
  }
  if (rest !== '') yield { line: line + 1, text: rest };
}
