import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { workspaces } from '../support/workspaces';

export interface Page {
  /** From the project's folder, with `/`. */
  path: string;
  text: string;
  blocks: Block[];
}

/** A fenced block of code. */
export interface Block {
  page: string;
  /** The nearest heading above it, without its `#`. */
  heading: string;
  language: string;
  /** What stands on the fence after the language. */
  note: string;
  code: string;
  line: number;
}

/** The documents in the project's folder, below `docs/`, and beside the packages. */
export function readPages(root: string): Page[] {
  const paths = [
    ...markdownIn(root, '.'),
    ...markdownIn(root, 'docs'),
    ...markdownIn(root, 'docs/decisions'),
    ...workspaces(root)
      .map((folder) => posix.join(folder, 'README.md'))
      .filter((path) => existsSync(join(root, path))),
  ];
  return paths.map((path) => readPage(path, readFileSync(join(root, path), 'utf8')));
}

export function readPage(path: string, text: string): Page {
  return { path, text, blocks: findBlocks(path, text) };
}

/** Links that lead to no file, or to no heading in it. */
export function brokenLinks(root: string, page: Page): string[] {
  const prose = withoutBlocks(page.text).replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(root, page, link));
}

/** What stands between backticks in the prose. */
export function quotedIn(page: Page): string[] {
  return [...withoutBlocks(page.text).matchAll(/`([^`\n]+)`/g)].map(([, quoted = '']) => quoted);
}

/** Where prose names a symbol together with its file: `` `name` (`path`) ``, `` `name` in `path` ``. */
export function symbolsIn(page: Page): { symbol: string; path: string }[] {
  const named = withoutBlocks(page.text).matchAll(
    /`(?:[\w$]+\.)*([A-Za-z_$][\w$]*)(?:\(\))?`\s+(?:\(|in )\[?`([\w./-]+\.(?:ts|tsx|mjs))`/g,
  );
  return [...named].map(([, symbol = '', path = '']) => ({ symbol, path }));
}

function markdownIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => posix.join(folder, name));
}

function leadsSomewhere(root: string, page: Page, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page.path : posix.join(dirname(page.path), path);
  if (!existsSync(join(root, target))) return false;
  return anchor === undefined || anchorsOf(readFileSync(join(root, target), 'utf8')).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  const headings = withoutBlocks(text).matchAll(/^#+ +(.+)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function withoutBlocks(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '');
}

function findBlocks(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: Block | undefined;
  text.split('\n').forEach((line, index) => {
    const fence = /^```(\S*) ?(.*)$/.exec(line);
    if (open === undefined && fence !== null)
      open = { page, heading, language: fence[1] ?? '', note: fence[2] ?? '', code: '', line: index + 1 };
    else if (open !== undefined && fence !== null) {
      blocks.push(open);
      open = undefined;
    } else if (open !== undefined) open.code += `${line}\n`;
    else heading = /^#+ +(.+)$/.exec(line)?.[1] ?? heading;
  });
  return blocks;
}
