import { spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { ZipFile } from 'yazl';
import { readXlsx } from '../../runners/data/formats/xlsx-read';
import { Moving } from './moving';

let moving: Moving;
beforeEach(async () => (moving = await new Moving('postgresql://nowhere/none').open()));
afterEach(() => moving.close());

/** What a file holds, as rows of a result. */
async function rowsOf(url: string, more: object = {}): Promise<unknown> {
  const to = { url: 'file:out.json' };
  const run = await moving.run('bulk-export', { from: { url, ...more }, to, rejects: 'file:rejects.ndjson' });
  if (run.outcome !== 'completed') return run.error;
  return JSON.parse(moving.read('out.json'));
}

const rejects = (): unknown[] =>
  moving
    .read('rejects.ndjson')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

const ROWS = [
  { id: 1, name: 'Ada "the" first', note: 'a,b\nc' },
  { id: 2, name: 'Œdipe 😀', note: null },
];

describe('a file', () => {
  it.each([
    ['a.csv', '\ufeffid,name,note\r\n1,"Ada ""the"" first","a,b\nc"\r\n2,Œdipe 😀,\r\n', true],
    ['a.tsv', 'id\tname\tnote\n1\t"Ada ""the"" first"\t"a,b\nc"\n\n2\tŒdipe 😀\t', true],
    ['a.ndjson', `${ROWS.map((row) => JSON.stringify(row)).join('\n\n')}\n`, false],
    ['a.json', JSON.stringify(ROWS, null, 2), false],
  ])('%s is read', async (name, text, isText) => {
    const expected = ROWS.map((row) => (isText ? { ...row, id: String(row.id) } : row));
    expect(await rowsOf(moving.write(name, text))).toEqual(expected);
    expect(await rowsOf(moving.write(`${name}.gz`, gzipSync(text)))).toEqual(expected);
    expect(
      await rowsOf(moving.write('other', text), {
        format: name.endsWith('tsv') ? 'csv' : name.slice(2),
        ...(name.endsWith('tsv') && { delimiter: '\t' }),
      }),
    ).toEqual(expected);
  });

  it.each(['a.csv', 'a.tsv', 'a.ndjson', 'a.json', 'a.xlsx', 'a.csv.gz'])('%s is what is read again', async (name) => {
    const seed = Date.now() % 1_000_000;
    const text = fc.string({ unit: 'grapheme', maxLength: 20 });
    const value = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null));
    const [data] = fc.sample(
      fc.array(fc.record({ a: value, 'b c': value, z: value }), { minLength: 1, maxLength: 60 }),
      { seed, numRuns: 1 },
    );
    const isText = /csv|tsv/.test(name);
    // A text of nothing and no text are one in formats that know only texts.
    const plain = (one: string | number | boolean | null): unknown =>
      one === null || one === '' ? null : isText ? String(one) : one;
    const expected = data?.map((row) => Object.fromEntries(Object.entries(row).map(([key, one]) => [key, plain(one)])));
    const args = { batchId: 'b', operation: 'export', data: expected, to: { url: `file:${name}` } };
    expect((await moving.run('data-processing', args)).outcome).toBe('completed');
    const read = await rowsOf(`file:${name}`);
    // Rows of nulls alone are empty rows of a sheet.
    const isThere = (row: object): boolean => name !== 'a.xlsx' || Object.values(row).some((one) => one !== null);
    try {
      expect(read).toEqual(expected?.filter(isThere));
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  });

  it('has rows that are rejected, with their number and a reason', async () => {
    const csv = 'id,name\n1,Ada\n2\n3,"a"b\n4,Grace\n5,x,y\n';
    expect(await rowsOf(moving.write('a.csv', csv))).toEqual([
      { id: '1', name: 'Ada' },
      { id: '3', name: '"a"b' },
      { id: '4', name: 'Grace' },
    ]);
    expect(rejects()).toMatchObject([
      { row: 2, reason: 'has 1 fields, and the header 2', values: ['2'] },
      { row: 5, reason: 'has 3 fields, and the header 2' },
    ]);
    expect(await rowsOf(moving.write('a.ndjson', '{"id":1}\n{"id":\n[2]\n"x"\n{"id":5}'))).toEqual([
      { id: 1 },
      { id: 5 },
    ]);
    expect(rejects()).toMatchObject([
      { row: 2, reason: expect.stringContaining('is no JSON') },
      { row: 3 },
      { row: 4 },
    ]);
    expect(await rowsOf(moving.write('a.json', '[{"id":"]"},7,{"id":[{}]},{"a":}]'))).toEqual([
      { id: ']' },
      { id: [{}] },
    ]);
    expect(rejects()).toMatchObject([{ row: 2, reason: 'is no JSON object' }, { row: 4 }]);
  });

  it.each([
    ['a.json', '{"a":1}', 'it is no JSON array'],
    ['a.json', '[{"a":1}', 'its array has no end'],
    ['a.json', '[] x', 'something follows its array'],
    ['a.csv', 'a,b,a\n1,2,3\n', 'two columns are called "a"'],
    ['a.csv', 'a,b\n1,"x\n', 'Quote Not Closed'],
    ['a.csv.gz', 'no gzip', 'incorrect header check'],
    ['a.xlsx', 'no zip', 'it is no workbook'],
  ])('%s of %j fails as a whole', async (name, text, fault) => {
    expect(await rowsOf(moving.write(name, text))).toMatchObject({
      ...{ code: 'data_bad_source', retryable: false, message: expect.stringContaining(fault) },
    });
  });

  it('must tell its format', async () => {
    expect(await rowsOf(moving.write('a.txt', 'x'))).toMatchObject({ code: 'data_unknown_format' });
    expect(await rowsOf(moving.write('a.constructor', 'x'))).toMatchObject({ code: 'data_unknown_format' });
    expect(await rowsOf('file:none.csv')).toMatchObject({ code: 'storage_not_found' });
    expect(await rowsOf('file:../a.csv')).toMatchObject({ code: 'storage_outside_roots' });
  });
});

it('is compressed where its name says so', async () => {
  const args = { batchId: 'b', operation: 'export', data: [{ a: 1, b: true, c: [1] }], to: { url: 'file:a.csv.gz' } };
  await moving.run('data-processing', args);
  expect(gunzipSync(await moving.tools.storage.read('file:a.csv.gz', 1000)).toString()).toBe('a,b,c\n1,true,[1]\n');
});

describe('a workbook of others', () => {
  const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
  const STRINGS = ['id', 'born', 'at', 'text', 'yes', 'Ada &amp; <r/>'];

  async function book(
    sheet: string,
    texts: Iterable<string>,
    more: { is1904?: boolean; name?: string } = {},
  ): Promise<string> {
    const zip = new ZipFile();
    const add = (name: string, text: string): void => zip.addBuffer(Buffer.from(text), name);
    add(
      'xl/workbook.xml',
      `<x:workbook xmlns:x="${MAIN}" xmlns:r="r"><x:workbookPr date1904="${more.is1904 ? 1 : 0}"/><x:sheets><x:sheet name="Empty" sheetId="1" r:id="a"/><x:sheet name="Data" sheetId="2" r:id="b"/></x:sheets></x:workbook>`,
    );
    add(
      'xl/_rels/workbook.xml.rels',
      `<Relationships><Relationship Id="a" Type="x/worksheet" Target="worksheets/one.xml"/><Relationship Id="b" Type="x/worksheet" Target="/xl/worksheets/two.xml"/><Relationship Id="c" Type="x/sharedStrings" Target="sharedStrings.xml"/><Relationship Id="d" Type="x/styles" Target="styles.xml"/></Relationships>`,
    );
    add(
      'xl/styles.xml',
      `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="[Red]yyyy&quot;-d&quot;"/><numFmt numFmtId="165" formatCode="0&quot;d&quot;"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>`,
    );
    add('xl/worksheets/one.xml', '<worksheet><sheetData/></worksheet>');
    add('xl/worksheets/two.xml', `<worksheet><sheetData>${sheet}</sheetData></worksheet>`);
    add('xl/sharedStrings.xml', `<sst>${[...texts].map((text) => `<si>${text}</si>`).join('')}</sst>`);
    zip.end();
    const name = more.name ?? 'book.xlsx';
    await pipeline(zip.outputStream, createWriteStream(join(moving.folder, 'storage', name)));
    return `file:${name}`;
  }

  const texts = STRINGS.slice(0, 5).map((text) => `<t>${text}</t>`);
  const HEADER =
    '<row r="3"><c r="A3" t="s"><v>0</v></c><c r="B3" t="s"><v>1</v></c><c r="C3" t="s"><v>2</v></c><c r="D3" t="s"><v>3</v></c><c r="E3" t="s"><v>4</v></c></row>';

  it('is read: shared, rich and inline texts, dates, booleans, gaps, errors', async () => {
    const rich = '<r><t>Ada </t></r><r><t>&amp; _x0041__x005F_x0041_</t></r><rPh><t>no</t></rPh>';
    const sheet = `<row r="1"/>${HEADER}
      <row r="4"><c r="A4"><v>1</v></c><c r="B4" s="1"><v>44562</v></c><c r="C4" s="2"><v>44562.5</v></c><c r="D4" t="s"><v>5</v></c><c r="E4" t="b"><v>1</v></c></row>
      <row r="5"><c r="A5" s="3"><v>2</v></c><c r="D5" t="inlineStr"><is><t>in</t></is></c></row>
      <row r="6"><c r="A6"><v>3</v></c><c r="D6" t="str"><f>A1</f><v>sum</v></c><c r="E6" t="e"><v>#N/A</v></c></row>
      <row r="7"><c r="A7"><v>4</v></c><c r="G7"><v>9</v></c></row>`;
    const url = await book(sheet, [...texts, rich]);
    expect(await rowsOf(url, { sheet: 'Data' })).toEqual([
      { id: 1, born: '2022-01-01', at: '2022-01-01T12:00:00', text: 'Ada & A_x0041_', yes: true },
      { id: 2, born: null, at: null, text: 'in', yes: null },
      { id: 3, born: null, at: null, text: 'sum', yes: null },
    ]);
    expect(rejects()).toMatchObject([{ row: 4, reason: 'has 7 cells, and the header 5' }]);
    expect(await rowsOf(url)).toEqual([]);
    expect(await rowsOf(url, { sheet: 'None' })).toMatchObject({
      message: expect.stringContaining('it has Empty, Data'),
    });
  });

  it('may count its days from 1904', async () => {
    const url = await book(`${HEADER}<row><c r="B4" s="1"><v>43100</v></c></row>`, texts, { is1904: true });
    expect(await rowsOf(url, { sheet: 'Data' })).toMatchObject([{ born: '2022-01-01' }]);
  });

  it('has its texts on the disk, however many and in whatever order', async () => {
    const count = 60_000;
    const all = (function* () {
      yield* texts;
      for (let index = 0; index < count; index += 1) yield `<t>text ${index} ${'x'.repeat(index % 90)}</t>`;
    })();
    const order = Array.from({ length: 3000 }, (_none, index) => (index * 7919) % count);
    const rows = order.map(
      (index) => `<row><c r="A9"><v>${index}</v></c><c r="D9" t="s"><v>${index + 5}</v></c></row>`,
    );
    const url = await book(HEADER + rows.join(''), all);
    const read = (await rowsOf(url, { sheet: 'Data' })) as { id: number; text: string }[];
    expect(read).toHaveLength(order.length);
    for (const { id, text } of read) expect(text).toBe(`text ${id} ${'x'.repeat(id % 90)}`);
    const folder = join(moving.folder, 'small');
    mkdirSync(folder);
    const path = join(moving.folder, 'storage', 'book.xlsx');
    const small = async (): Promise<void> => {
      for await (const _ of readXlsx(path, { folder, sheet: 'Data', mostSpillBytes: 100_000 })) continue;
    };
    await expect(small()).rejects.toThrow('DATA_MOST_SPILL_MB');
  });

  it('with more texts than the heap could hold is read', async () => {
    const count = 60_000;
    const all = (function* () {
      yield* texts;
      for (let index = 0; index < count; index += 1) yield `<t>text ${index} ${'x'.repeat(700)}</t>`;
    })();
    const order = Array.from({ length: 5000 }, (_none, index) => (index * 7919) % count);
    const rows = order.map(
      (index) => `<row><c r="A9"><v>${index}</v></c><c r="D9" t="s"><v>${index + 5}</v></c></row>`,
    );
    await book(HEADER + rows.join(''), all);
    const folder = join(moving.folder, 'own');
    mkdirSync(folder);
    // 42 MB of texts. In a process of its own, whose heap is smaller; it ends when that is full.
    const script = `
      const { readXlsx } = require('./runners/data/dist/formats/xlsx-read.js');
      const [path, folder] = process.argv.slice(1);
      (async () => {
        let rows = 0;
        for await (const _ of readXlsx(path, { folder, sheet: 'Data', mostSpillBytes: 1e9 })) rows += 1;
        process.stdout.write(String(rows));
      })();`;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--max-old-space-size=32', '-e', script, join(moving.folder, 'storage', 'book.xlsx'), folder],
      { cwd: join(__dirname, '..', '..') },
    );
    expect([stdout.toString(), stderr.toString().slice(0, 200)]).toEqual([String(order.length), '']);
  });

  it('that would fill the memory is refused', async () => {
    const url = await book(`${HEADER}<row><c><v>${'9'.repeat(9_000_000)}</v></c></row>`, texts);
    expect(await rowsOf(url, { sheet: 'Data' })).toMatchObject({
      code: 'data_bad_source',
      message: expect.stringContaining('without an end'),
    });
    const bomb = `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>${HEADER}<row><c t="str"><v>&b;</v></c></row>`;
    expect(await rowsOf(await book(bomb, texts), { sheet: 'Data' })).toMatchObject({ code: 'data_bad_source' });
  });
});
