import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import type { FileTarget, Format } from '../jobs';
import type { Item, Row, Source, Tools } from '../tools';
import { readCsv, writeCsv } from './csv';
import { badFile } from './faults';
import { readJson, readNdjson, writeJson, writeNdjson } from './json';
import { readXlsx } from './xlsx-read';
import { writeXlsx } from './xlsx-write';

const EXTENSIONS = new Map<string, Format>([
  ['csv', 'csv'],
  ['tsv', 'csv'],
  ['ndjson', 'ndjson'],
  ['jsonl', 'ndjson'],
  ['json', 'json'],
  ['xlsx', 'xlsx'],
]);
const CONTENT_TYPES: Record<Format, string> = {
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson',
  json: 'application/json',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
};

/** @param folder for a workbook while it is read */
export async function openFile(file: FileTarget, folder: string, tools: Tools, job: JobContext): Promise<Source> {
  const format = formatOf(file);
  const opened = await tools.storage.open(file.url, { signal: job.signal });
  let read = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      read += chunk.length;
      done(null, chunk);
    },
  });
  const plain = isGzip(file) ? createGunzip() : new PassThrough();
  // The last stream reports errors of the others to its reader.
  void pipeline(opened.body, count, plain).catch(() => undefined);
  return {
    ...{ version: opened.version, columns: null },
    items: guarded(itemsOf(format, file, plain, folder, tools, job)),
    percent: () => (opened.bytes === null || opened.bytes === 0 ? null : (100 * read) / opened.bytes),
  };
}

/** Writes all rows atomically. */
export async function writeFile(
  file: FileTarget,
  rows: AsyncIterable<Row>,
  columns: string[],
  { storage }: Tools,
  signal: AbortSignal,
): Promise<void> {
  const format = formatOf(file);
  const content = contentOf(format, file, rows, columns);
  await storage.write(file.url, isGzip(file) ? gzipped(content) : content, {
    ...{ signal, contentType: isGzip(file) ? 'application/gzip' : CONTENT_TYPES[format] },
  });
}

/** @throws {NonRetryableError} `data_unknown_format` */
export function formatOf({ url, format }: FileTarget): Format {
  const extension = extensionOf(url);
  const found = format ?? EXTENSIONS.get(extension);
  if (found !== undefined) return found;
  throw new NonRetryableError(
    `the format is not told by the name: give format, or a name that ends with ${[...EXTENSIONS.keys()].join(', ')}`,
    { code: 'data_unknown_format' },
  );
}

function itemsOf(
  format: Format,
  file: FileTarget,
  body: Readable,
  folder: string,
  tools: Tools,
  { signal }: JobContext,
): AsyncIterable<Item> {
  switch (format) {
    case 'csv':
      return readCsv(body, delimiterOf(file));
    case 'ndjson':
      return readNdjson(body);
    case 'json':
      return readJson(body);
    case 'xlsx':
      return workbookItems(file, body, folder, tools, signal);
  }
}

/** A ZIP is read from its end, so the whole file is downloaded first. */
async function* workbookItems(
  { sheet }: FileTarget,
  body: Readable,
  folder: string,
  { mostSpillBytes }: Tools,
  signal: AbortSignal,
): AsyncIterable<Item> {
  const path = join(folder, 'workbook.xlsx');
  await pipeline(body, (chunks) => limited(chunks as AsyncIterable<Buffer>, mostSpillBytes), createWriteStream(path), {
    signal,
  });
  yield* readXlsx(path, { folder, sheet, mostSpillBytes });
}

async function* limited(chunks: AsyncIterable<Buffer>, mostBytes: number): AsyncIterable<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw badFile(`the workbook has more than ${mostBytes} bytes (DATA_MOST_SPILL_MB)`);
    yield chunk;
  }
}

/** Damaged compression is a fault of the file. */
async function* guarded(items: AsyncIterable<Item>): AsyncIterable<Item> {
  try {
    yield* items;
  } catch (error) {
    const { code = '', message = '' } = error as { code?: string; message?: string };
    throw /^Z_(DATA|BUF)_ERROR$/.test(code) ? badFile(message) : error;
  }
}

function contentOf(
  format: Format,
  file: FileTarget,
  rows: AsyncIterable<Row>,
  columns: string[],
): AsyncIterable<string | Uint8Array> {
  switch (format) {
    case 'csv':
      return writeCsv(rows, columns, delimiterOf(file));
    case 'ndjson':
      return writeNdjson(rows);
    case 'json':
      return writeJson(rows);
    case 'xlsx':
      return writeXlsx(rows, columns, file.sheet ?? 'Sheet1');
  }
}

function gzipped(content: AsyncIterable<string | Uint8Array>): AsyncIterable<Uint8Array> {
  const gzip = createGzip();
  // The reader gets the errors of the rows.
  void pipeline(content, gzip).catch(() => undefined);
  return gzip as AsyncIterable<Uint8Array>;
}

function delimiterOf({ url, delimiter }: FileTarget): string {
  return delimiter ?? (extensionOf(url) === 'tsv' ? '\t' : ',');
}

function extensionOf(url: string): string {
  return (/\.([a-z]+)$/i.exec(pathOf(url).replace(/\.gz$/i, ''))?.[1] ?? '').toLowerCase();
}

function isGzip({ url }: FileTarget): boolean {
  return /\.gz$/i.test(pathOf(url));
}

function pathOf(url: string): string {
  return /^https?:/i.test(url) ? url.replace(/[?#].*$/s, '') : url;
}
