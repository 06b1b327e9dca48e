import fc from 'fast-check';
import { coloured, plain } from '../../cli/terminal/style';
import { type Column, tableLines } from '../../cli/terminal/table';
import { clean, cut, jsonText, oneLine, widthOf } from '../../cli/terminal/text';
import { durationText, relativeText } from '../../cli/terminal/time';
import { durationMsOf } from '../../cli/input/durations';

interface Row {
  id: string;
  name: string | null;
  count: number;
}

const COLUMNS: Column<Row>[] = [
  { title: 'ID', of: (row) => row.id },
  { title: 'NAME', of: (row) => row.name, least: 6 },
  { title: 'COUNT', of: (row) => row.count, align: 'right', drop: 1 },
];
const ROWS: Row[] = [
  { id: 'a1', name: 'the first of all', count: 7 },
  { id: 'b22', name: null, count: 12 },
];

test('a table shows everything where there is room', () => {
  expect(tableLines(COLUMNS, ROWS, null, plain)).toEqual([
    'ID   NAME              COUNT',
    'a1   the first of all      7',
    'b22  -                    12',
  ]);
});

test('a table that is too wide is cut where it may be, then loses its least needed columns', () => {
  expect(tableLines(COLUMNS, ROWS, 20, plain)).toEqual([
    'ID   NAME      COUNT',
    'a1   the fir…      7',
    'b22  -            12',
  ]);
  expect(tableLines(COLUMNS, ROWS, 12, plain)).toEqual(['ID   NAME', 'a1   the fi…', 'b22  -']);
});

test('a table never takes more columns than there are, if they hold what must be shown', () => {
  const row = fc.record({ id: fc.constant('x'), name: fc.string({ unit: 'grapheme' }), count: fc.nat() });
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 5 }), fc.integer({ min: 12, max: 60 }), (rows, width) => {
      for (const line of tableLines(COLUMNS, rows, width, plain)) expect(widthOf(line)).toBeLessThanOrEqual(width);
    }),
  );
});

test('colours change no width', () => {
  const look = COLUMNS.map((column) => ({ ...column, look: () => 'red' as const }));
  const lines = tableLines(look, ROWS, 20, coloured);
  expect(lines[1]).toContain('\u001b[31m');
  expect(lines.map((line) => line.replace(/\u001b\[\d+m/g, '').trimEnd())).toEqual(
    tableLines(COLUMNS, ROWS, 20, plain),
  );
});

test('what others wrote cannot steer the terminal', () => {
  const evil = 'a\u001b]0;title\u0007b\u009b2Jc\rd\u202ee';
  expect(clean(evil)).toBe('a\ufffd]0;title\ufffdb\ufffd2Jc\ufffdd\ufffde');
  expect(oneLine('two\r\n  lines\tand a tab')).toBe('two lines and a tab');
  const json = jsonText({ evil });
  expect(json).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(JSON.parse(json)).toEqual({ evil });
});

test('wide characters take two columns, and are not cut in the middle', () => {
  expect([widthOf('日本'), widthOf('e\u0301'), widthOf('👩‍👩‍👧')]).toEqual([4, 1, 2]);
  expect([cut('日本語', 4), cut('日本語', 5), cut('abc', 3), cut('abcd', 3), cut('abc', 0)]).toEqual([
    '日…',
    '日本…',
    'abc',
    'ab…',
    '',
  ]);
});

test.each([
  [0, '0 ms'],
  [850.4, '850 ms'],
  [1500, '1.5 s'],
  [59_900, '60 s'],
  [60_000, '1 min'],
  [200_000, '3 min 20 s'],
  [7_200_000, '2 h'],
  [187_200_000, '2 d 4 h'],
  [2_000_000_000, '23 d'],
])('%d ms is said as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test('times are said as seen from now', () => {
  const at = (ms: number) => relativeText(new Date(1_800_000_000_000 + ms).toISOString(), 1_800_000_000_000);
  expect([at(0), at(-999), at(-1000), at(-200_000), at(7_200_000), at(-90_000_000)]).toEqual([
    'now',
    'now',
    '1 s ago',
    '3 min ago',
    'in 2 h',
    '1 d ago',
  ]);
});

test.each([
  ['500ms', 500],
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['1.5 h', 5_400_000],
  ['7d', 604_800_000],
  ['5', undefined],
  ['5x', undefined],
  ['-5s', undefined],
  ['5s and more', undefined],
  ['', undefined],
])('the duration %j is %p ms', (text, ms) => {
  expect(durationMsOf(text)).toBe(ms);
});
