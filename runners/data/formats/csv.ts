import { pipeline, type Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { stringify } from 'csv-stringify/sync';
import { cellOf, type Item, type Row } from '../tools';
import { badSource } from './faults';
import { headerOf, rowOf } from './header';

const MOST_RECORD_BYTES = 16 * 1024 * 1024;
const TOGETHER = 500;

/** Rows of CSV (RFC 4180) with a header. An empty field is null; quotes in invalid places are literal. */
export async function* readCsv(body: Readable, delimiter: string): AsyncIterable<Item> {
  const parser = parse({
    // The number of fields is checked here: a line that does not match the header is rejected, and does not end the
    // parse.
    ...{ delimiter, bom: true, relax_column_count: true, skip_empty_lines: true },
    // A quote misread as the start of a text would hide the following lines.
    ...{ relax_quotes: true, max_record_size: MOST_RECORD_BYTES },
  });
  pipeline(body, parser, () => undefined);
  let header: string[] | null = null;
  try {
    for await (const record of parser as AsyncIterable<string[]>) {
      if (header === null) header = headerOf(record);
      else
        yield rowOf(
          header,
          record.map((field) => (field === '' ? null : field)),
        );
    }
  } catch (error) {
    throw badSource(error);
  }
}

export async function* writeCsv(rows: AsyncIterable<Row>, columns: string[], delimiter: string): AsyncIterable<string> {
  const options = { delimiter, cast: { boolean: String } };
  yield stringify([columns], options);
  let together: unknown[][] = [];
  for await (const row of rows) {
    together.push(columns.map((column) => cellOf(row, column) ?? null));
    if (together.length < TOGETHER) continue;
    yield stringify(together, options);
    together = [];
  }
  if (together.length > 0) yield stringify(together, options);
}
