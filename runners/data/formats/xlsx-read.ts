import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { type Entry, open, type Options, type ZipFile } from 'yauzl';
import type { Item } from '../tools';
import { badFile } from './faults';
import { headerOf } from './header';
import { SharedStrings } from './shared-strings';
import { readXml } from './xml';

const MOST_PARTS = 10_000;
const MOST_COLUMNS = 16_384;
/** Limit of the parts that are read into memory: the lists of sheets and of styles. */
const MOST_STYLES = 100_000;
const DAY_MS = 86_400_000;
const UNIX_DAY = 25_569;
/** Days between the two epochs of workbooks. */
const DAYS_OF_1904 = 1462;

const openZip = promisify<string, Options, ZipFile>(open);

/**
 * Rows of one sheet of a workbook; the first non-empty row is the header.
 * @param path the workbook on this host, because a ZIP is read from its end
 * @param folder for its texts
 */
export async function* readXlsx(
  path: string,
  { folder, sheet, mostSpillBytes }: { folder: string; sheet: string | undefined; mostSpillBytes: number },
): AsyncIterable<Item> {
  const zip = await openZip(path, { lazyEntries: true, autoClose: false }).catch((error: Error) => {
    throw badFile(`it is no workbook: ${error.message}`);
  });
  const strings = new SharedStrings(folder, mostSpillBytes);
  try {
    const parts = await partsOf(zip);
    const book = await readBook(zip, parts, sheet);
    await readStrings(zip, parts.get(book.strings), strings);
    const dates = await readDateStyles(zip, parts.get(book.styles));
    yield* readSheet(await bodyOf(zip, parts, book.sheet), { strings, dates, is1904: book.is1904 });
  } finally {
    strings.close();
    zip.close();
  }
}

async function partsOf(zip: ZipFile): Promise<Map<string, Entry>> {
  const parts = new Map<string, Entry>();
  await new Promise<void>((resolve, reject) => {
    zip.on('entry', (entry: Entry) => {
      parts.set(entry.fileName, entry);
      if (parts.size > MOST_PARTS) reject(badFile(`the workbook has more than ${MOST_PARTS} parts`));
      else zip.readEntry();
    });
    zip.once('end', resolve);
    zip.once('error', (error: Error) => reject(badFile(`it is no workbook: ${error.message}`)));
    zip.readEntry();
  });
  return parts;
}

interface Book {
  sheet: string;
  strings: string;
  styles: string;
  is1904: boolean;
}

async function readBook(zip: ZipFile, parts: Map<string, Entry>, wanted: string | undefined): Promise<Book> {
  const sheets: { name: string; id: string }[] = [];
  let is1904 = false;
  await drain(await bodyOf(zip, parts, 'xl/workbook.xml'), (name, attributes) => {
    if (name === 'workbookPr') is1904 = /^(1|true)$/.test(attributes['date1904'] ?? '');
    if (name === 'sheet') sheets.push({ name: attributes['name'] ?? '', id: relationOf(attributes) });
  });
  const targets = new Map<string, string>();
  const byKind = new Map<string, string>();
  await drain(await bodyOf(zip, parts, 'xl/_rels/workbook.xml.rels'), (name, attributes) => {
    if (name !== 'Relationship') return;
    const target = posix
      .join(
        '/xl',
        attributes['Target']?.startsWith('/')
          ? posix.relative('/xl', attributes['Target'])
          : (attributes['Target'] ?? ''),
      )
      .slice(1);
    targets.set(attributes['Id'] ?? '', target);
    byKind.set((attributes['Type'] ?? '').replace(/^.*\//, ''), target);
  });
  const found = wanted === undefined ? sheets[0] : sheets.find(({ name }) => name === wanted);
  if (found === undefined)
    throw badFile(`it has no sheet ${wanted ?? ''}; it has ${sheets.map(({ name }) => name).join(', ') || 'none'}`);
  return {
    ...{ sheet: targets.get(found.id) ?? '', is1904 },
    ...{ strings: byKind.get('sharedStrings') ?? '', styles: byKind.get('styles') ?? '' },
  };
}

function relationOf(attributes: Record<string, string>): string {
  return Object.entries(attributes).find(([name]) => /:id$/.test(name))?.[1] ?? '';
}

async function readStrings(zip: ZipFile, part: Entry | undefined, strings: SharedStrings): Promise<void> {
  if (part === undefined) return;
  let text = '';
  let isText = false;
  let isPhonetic = false;
  for await (const _ of readXml(await streamOf(zip, part), {
    open: (name) => {
      if (name === 'si') text = '';
      if (name === 'rPh') isPhonetic = true;
      isText = name === 't' && !isPhonetic;
    },
    text: (more) => {
      if (isText) text += more;
    },
    close: (name) => {
      isText = false;
      if (name === 'rPh') isPhonetic = false;
      if (name === 'si') strings.add(unescaped(text));
    },
  }))
    continue;
}

/** Indexes of the cell styles that show a number as a date. */
async function readDateStyles(zip: ZipFile, part: Entry | undefined): Promise<Set<number>> {
  const dates = new Set<number>();
  if (part === undefined) return dates;
  const own = new Map<number, boolean>();
  let isCells = false;
  let index = 0;
  await drain(
    await streamOf(zip, part),
    (name, attributes) => {
      if (name === 'cellXfs') isCells = true;
      if (name === 'numFmt') own.set(Number(attributes['numFmtId']), isDateFormat(attributes['formatCode'] ?? ''));
      if (name !== 'xf' || !isCells) return;
      const format = Number(attributes['numFmtId'] ?? 0);
      if (own.get(format) ?? isBuiltInDate(format)) dates.add(index);
      index += 1;
      if (index > MOST_STYLES) throw badFile(`the workbook has more than ${MOST_STYLES} styles`);
    },
    (name) => {
      if (name === 'cellXfs') isCells = false;
    },
  );
  return dates;
}

function isBuiltInDate(format: number): boolean {
  return (format >= 14 && format <= 22) || (format >= 27 && format <= 36) || (format >= 45 && format <= 58);
}

/** Whether the format has letters of a date outside quotes, escapes and brackets such as colours. */
function isDateFormat(code: string): boolean {
  return /[dmyhs]/i.test(code.replace(/"[^"]*"|\\.|\[[^\]]*\]|General/gi, ''));
}

interface Meaning {
  strings: SharedStrings;
  dates: Set<number>;
  is1904: boolean;
}

interface Cell {
  column: number;
  type: string;
  style: number;
  text: string;
}

async function* readSheet(body: Readable, meaning: Meaning): AsyncIterable<Item> {
  const rows: unknown[][] = [];
  let cells: unknown[] = [];
  let cell: Cell | null = null;
  let isValue = false;
  const xml = readXml(body, {
    open: (name, attributes) => {
      if (name === 'row') cells = [];
      if (name === 'c') {
        const column = columnOf(attributes['r']) ?? cells.length;
        if (column >= MOST_COLUMNS) throw badFile(`a sheet has more than ${MOST_COLUMNS} columns`);
        cell = { column, type: attributes['t'] ?? 'n', style: Number(attributes['s'] ?? -1), text: '' };
      }
      isValue = name === 'v' || name === 't';
    },
    text: (text) => {
      if (isValue && cell !== null) cell.text += text;
    },
    close: (name) => {
      isValue = false;
      if (name === 'c' && cell !== null) {
        while (cells.length < cell.column) cells.push(null);
        cells[cell.column] = valueOf(cell, meaning);
        cell = null;
      }
      if (name === 'row' && cells.some((value) => value !== null)) rows.push(cells);
    },
  });
  let header: string[] | null = null;
  for await (const _ of xml)
    for (const row of rows.splice(0)) {
      if (header === null) header = headerOf(row);
      else yield sheetRow(header, row);
    }
}

/** Programs leave out empty cells at the end of a row. */
function sheetRow(header: string[], cells: unknown[]): Item {
  if (cells.slice(header.length).some((value) => value !== null))
    return { reason: `has ${cells.length} cells, and the header ${header.length}`, values: cells };
  return { row: Object.fromEntries(header.map((name, index) => [name, cells[index] ?? null])) };
}

function valueOf({ type, style, text }: Cell, { strings, dates, is1904 }: Meaning): unknown {
  if (type === 's') return strings.get(Number(text)) || null;
  if (type === 'inlineStr' || type === 'str') return unescaped(text) || null;
  if (text === '') return null;
  if (type === 'b') return text === '1';
  if (type === 'e') return null;
  if (type === 'd') return text;
  const number = Number(text);
  if (!dates.has(style) || Number.isNaN(number)) return Number.isNaN(number) ? text : number;
  return dateOf(number + (is1904 ? DAYS_OF_1904 : 0));
}

/** Days without a time are dates; times have no zone. */
function dateOf(days: number): string {
  const at = new Date(Math.round((days - UNIX_DAY) * DAY_MS));
  if (Number.isNaN(at.getTime())) return String(days);
  const iso = at.toISOString();
  return Number.isInteger(days) ? iso.slice(0, 10) : iso.slice(0, 19);
}

/** `_x000D_` stands for a character that XML cannot contain. */
function unescaped(text: string): string {
  return text.replace(/_x([0-9A-Fa-f]{4})_/g, (_all, code: string) => String.fromCharCode(parseInt(code, 16)));
}

function columnOf(reference: string | undefined): number | null {
  const letters = /^[A-Z]{1,3}/.exec(reference ?? '')?.[0];
  if (letters === undefined) return null;
  return [...letters].reduce((sum, letter) => 26 * sum + letter.charCodeAt(0) - 64, 0) - 1;
}

async function drain(
  body: Readable,
  opened: (name: string, attributes: Record<string, string>) => void,
  closed: (name: string) => void = () => undefined,
): Promise<void> {
  for await (const _ of readXml(body, { open: opened, close: closed })) continue;
}

function bodyOf(zip: ZipFile, parts: Map<string, Entry>, name: string): Promise<Readable> {
  const part = parts.get(name);
  if (part === undefined) throw badFile(`it is no workbook: it has no ${name || 'sheet'}`);
  return streamOf(zip, part);
}

function streamOf(zip: ZipFile, part: Entry): Promise<Readable> {
  return new Promise((resolve, reject) =>
    zip.openReadStream(part, (error, stream) => {
      if (error !== null && error !== undefined) reject(badFile(error.message));
      else resolve(stream);
    }),
  );
}
