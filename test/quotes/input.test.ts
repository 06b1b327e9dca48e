import { NonRetryableError } from '@baton/runner-sdk';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MAX_FILE_BYTES, readInput } from '../../runners/quotes/quotes/input';

let home: string;
let quotesDirectory: string;
beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'quotes-'));
  quotesDirectory = path.join(home, 'quotes');
  await mkdir(path.join(quotesDirectory, 'more'), { recursive: true });
  await mkdir(path.join(home, 'quotes-of-others'));
  await writeFile(path.join(home, 'secret.json'), '[{"quote":"secret"}]');
  await writeFile(path.join(home, 'quotes-of-others', 'a.json'), '[{"quote":"secret"}]');
  await writeFile(
    path.join(quotesDirectory, 'a.json'),
    '\ufeff[{"quote":"a"},{"quote":"b","movie":7,"year":"1999","type":null,"more":1}]',
  );
  await writeFile(path.join(quotesDirectory, '..b.json'), '[{"quote":"b"}]');
  await writeFile(path.join(quotesDirectory, 'more', 'c.json'), '[{"quote":"c"}]');
  await writeFile(path.join(quotesDirectory, 'text.json'), 'password=hunter2');
  await writeFile(path.join(quotesDirectory, 'object.json'), '{"quote":"a"}');
  await writeFile(path.join(quotesDirectory, 'empty.json'), '[]');
  await writeFile(path.join(quotesDirectory, 'row.json'), '[{"quote":"a"},{"quote":7}]');
  await writeFile(path.join(quotesDirectory, 'large.json'), '');
  await truncate(path.join(quotesDirectory, 'large.json'), MAX_FILE_BYTES + 1);
  await symlink(path.join(home, 'secret.json'), path.join(quotesDirectory, 'link.json'));
  await symlink(home, path.join(quotesDirectory, 'up'));
  await symlink('a.json', path.join(quotesDirectory, 'inner.json'));
  await symlink('loop.json', path.join(quotesDirectory, 'loop.json'));
  await symlink(quotesDirectory, path.join(home, 'linked-directory'));
  execFileSync('mkfifo', [path.join(quotesDirectory, 'pipe.json')]);
});
afterAll(() => rm(home, { recursive: true }));

const read = (file: string, more: object = {}, directory = quotesDirectory) =>
  readInput({ file, offset: 0, paceMs: 0, ...more }, directory);
const texts = async (file: string, directory?: string) =>
  (await read(file, {}, directory)).quotes.map((quote) => quote.quote);

describe('a file of quotes', () => {
  it.each([
    ['a.json', ['a', 'b']],
    ['./more/../a.json', ['a', 'b']],
    ['more/c.json', ['c']],
    ['..b.json', ['b']],
    ['inner.json', ['a', 'b']],
  ])('%s is read', async (file, expected) => {
    expect(await texts(file)).toEqual(expected);
  });

  it('is read from a directory given by a link or relative to the process', async () => {
    expect(await texts('a.json', path.join(home, 'linked-directory'))).toEqual(['a', 'b']);
    expect(await texts('a.json', path.relative(process.cwd(), quotesDirectory))).toEqual(['a', 'b']);
  });

  it('may have rows without a sound film, year or type', async () => {
    expect((await read('a.json')).quotes[1]).toEqual({ quote: 'b', movie: null, year: null, type: 'movie' });
  });

  it.each([
    '../secret.json',
    '../quotes-of-others/a.json',
    'more/../../secret.json',
    '..',
    '.',
    '',
    '/etc/passwd',
    'C:\\secret.json',
    '\\\\host\\share',
    'a.json\0.png',
    'link.json',
    'up/secret.json',
    'up/quotes-of-others/a.json',
  ])('%j is outside and never read', async (file) => {
    await expect(read(file)).rejects.toThrow(NonRetryableError);
    await expect(read(file)).rejects.toThrow("must be inside the runner's directory of quotes (QUOTES_DIR)");
  });

  it('outside is refused in the same words whether it exists or not', async () => {
    const message = (file: string) =>
      read(file).catch((error: Error) => error.message.replace(JSON.stringify(file), 'FILE'));
    expect(await message('../secret.json')).toBe(await message('../nothing.json'));
  });

  it.each([
    ['nothing.json', 'there is no file "nothing.json"'],
    ['a.json/b', 'there is no file'],
    ['loop.json', 'there is no file'],
    ['n'.repeat(255) + '/x', 'there is no file'],
    ['more', '"more" is not a regular file'],
    ['pipe.json', '"pipe.json" is not a regular file'],
    ['text.json', 'file "text.json" is not JSON'],
    ['object.json', 'must hold a JSON array of 1 to 100000 quotes'],
    ['empty.json', 'must hold a JSON array of 1 to 100000 quotes'],
    ['row.json', 'file "row.json", row 1: quote Invalid input: expected string, received number'],
    ['large.json', 'at most 33554432 are read'],
  ])('%s cannot be used, and that is final', async (file, message) => {
    const error: unknown = await read(file).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(String(error)).toContain(message);
    expect(String(error)).not.toContain(home);
    expect(String(error)).not.toContain('hunter2');
  });

  it('has quotes from the offset on, as many as there are', async () => {
    expect(await read('a.json', { offset: 1, count: 50 })).toMatchObject({ start: 1, end: 2 });
    expect(await read('a.json', { count: 1 })).toMatchObject({ start: 0, end: 1 });
    await expect(read('a.json', { offset: 2 })).rejects.toThrow(
      'offset 2 is past the end: there are 2 quotes, counted from 0',
    );
  });

  it('is known by its content', async () => {
    expect((await read('a.json')).digest).toBe((await read('inner.json')).digest);
    expect((await read('a.json')).digest).not.toBe((await read('..b.json')).digest);
  });
});
