import { PassThrough, Readable } from 'node:stream';
import { NonRetryableError } from '@baton/runner-sdk';
import { ZipFile } from 'yazl';
import { cellOf, type Row } from '../tools';

const MOST_ROWS = 1_048_576;
const MOST_CELL_LENGTH = 32_767;
const TOGETHER = 500;
const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const SPREADSHEET = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006';
const CONTENT = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

/** A workbook of one sheet, streamed: texts are inline in their cells, so that nothing is kept. */
export function writeXlsx(rows: AsyncIterable<Row>, columns: string[], sheet: string): AsyncIterable<Buffer> {
  const zip = new ZipFile();
  const out = new PassThrough();
  const fail = (error: Error): void => void out.destroy(error);
  zip.on('error', fail);
  const content = Readable.from(sheetXml(rows, columns), { objectMode: false });
  content.on('error', fail);
  // A reader that stops also stops the rows.
  out.on('close', () => content.destroy());
  const part = (name: string, text: string): void => zip.addBuffer(Buffer.from(HEAD + text), name);
  part(
    '[Content_Types].xml',
    `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="${CONTENT}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${CONTENT}.worksheet+xml"/></Types>`,
  );
  part(
    '_rels/.rels',
    `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="r1" Type="${OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
  );
  part(
    'xl/workbook.xml',
    `<workbook xmlns="${SPREADSHEET}" xmlns:r="${OFFICE}"><sheets><sheet name="${escaped(sheet)}" sheetId="1" r:id="r1"/></sheets></workbook>`,
  );
  part(
    'xl/_rels/workbook.xml.rels',
    `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="r1" Type="${OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
  );
  zip.addReadStream(content, 'xl/worksheets/sheet1.xml');
  zip.end();
  zip.outputStream.pipe(out);
  return out;
}

async function* sheetXml(rows: AsyncIterable<Row>, columns: string[]): AsyncIterable<string> {
  yield `${HEAD}<worksheet xmlns="${SPREADSHEET}"><sheetData>${rowXml(columns)}`;
  let count = 1;
  let together = '';
  for await (const row of rows) {
    count += 1;
    if (count > MOST_ROWS) throw unwritable(`a sheet holds ${MOST_ROWS} rows; take csv for more`);
    together += rowXml(columns.map((column) => cellOf(row, column)));
    if (count % TOGETHER !== 0) continue;
    yield together;
    together = '';
  }
  yield `${together}</sheetData></worksheet>`;
}

function rowXml(values: unknown[]): string {
  return `<row>${values.map(cellXml).join('')}</row>`;
}

function cellXml(value: unknown): string {
  if (value === null || value === undefined) return '<c/>';
  if (typeof value === 'number') return `<c><v>${value}</v></c>`;
  if (typeof value === 'boolean') return `<c t="b"><v>${value ? 1 : 0}</v></c>`;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (text.length > MOST_CELL_LENGTH)
    throw unwritable(`a cell holds ${MOST_CELL_LENGTH} characters, and a text has ${text.length}; take csv or ndjson`);
  return `<c t="inlineStr"><is><t xml:space="preserve">${escaped(text)}</t></is></c>`;
}

/** Characters that XML cannot contain become `_x0001_`, and text that looks like that is escaped itself. */
function escaped(text: string): string {
  return (
    text
      .replace(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_')
      // Control characters are intended here.

      .replace(
        /[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g,
        (sign) => `_x${sign.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}_`,
      )
      .toWellFormed()
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
      .replace(/"/g, '&quot;')
  );
}

function unwritable(fault: string): NonRetryableError {
  return new NonRetryableError(fault, { code: 'data_unwritable' });
}
