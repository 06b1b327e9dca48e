import { posix } from 'node:path';
import { at, type Breach } from './breach';
import type { Source } from './sources';

const MOST_FILES = 25;
const PACKAGES = /^(coordinator|runner-sdk)\//;

/** What JSON is derived from as statements are: the one list of what a job has. */
const FIELDS = 'coordinator/store/jobs/fields';

/** The routes answer from views; whatever writes, or decides, is a verb of the domain. */
export function httpTakesViewsOnly(sources: Source[]): Breach[] {
  return sources
    .filter(({ path }) => path.startsWith('coordinator/http/'))
    .flatMap((source) =>
      source.imports
        .filter(({ target, isType }) => !isType && target?.startsWith('coordinator/store/') === true)
        .filter(({ target }) => target?.startsWith('coordinator/store/views/') !== true && !isFields(target))
        .map(({ specifier, line }) => at(source, line, `http takes more than types from ${specifier}`)),
    );
}

function isFields(target: string | null | undefined): boolean {
  return target === FIELDS || target === `${FIELDS}.ts`;
}

/** Whoever opens a folder can read the names in it. */
export function foldersAreSmall(sources: Source[]): Breach[] {
  const counts = new Map<string, number>();
  for (const { path } of sources) counts.set(posix.dirname(path), (counts.get(posix.dirname(path)) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count > MOST_FILES)
    .map(([path, count]) => ({ path, line: 1, message: `holds ${count} files; ${MOST_FILES} are the most` }));
}

/**
 * No two folders of the coordinator or of the SDK need each other, directly or through others. The files beside the
 * folders (`context.ts`, `errors.ts`, `app.ts`) are layers of their own, and judged as such. The store counts as one
 * folder: its connections and shared columns are in its root, which its folders use.
 */
export function foldersFormNoCycle(sources: Source[]): Breach[] {
  const needs = folderImports(sources);
  return [...needs.keys()]
    .filter((folder) => reachable(needs, folder).has(folder))
    .map((folder) => {
      const others = [...reachable(needs, folder)].filter((other) => reachable(needs, other).has(folder));
      return { path: folder, line: 1, message: `is in a circle with ${others.filter((one) => one !== folder).join()}` };
    });
}

function folderImports(sources: Source[]): Map<string, Set<string>> {
  const paths = new Set(sources.map(({ path }) => path));
  const needs = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    const from = folderOf(path);
    if (!PACKAGES.test(from)) continue;
    for (const { target } of imports) {
      if (target === null) continue;
      const to = folderOf(paths.has(`${target}.ts`) ? target : `${target}/index`);
      if (to === from || !PACKAGES.test(to)) continue;
      needs.set(from, (needs.get(from) ?? new Set()).add(to));
    }
  }
  return needs;
}

function folderOf(path: string): string {
  return path.startsWith('coordinator/store/') ? 'coordinator/store' : posix.dirname(path);
}

/** The folders that one needs, directly or through others. */
function reachable(needs: Map<string, Set<string>>, folder: string): Set<string> {
  const found = new Set<string>();
  const visit = (one: string): void => {
    for (const next of needs.get(one) ?? []) {
      if (found.has(next)) continue;
      found.add(next);
      visit(next);
    }
  };
  visit(folder);
  return found;
}

const WIDTH = 120;
const COMMENT = /^\s*(?:\/\/|\/\*|\*)/;

/** Prettier wraps code, and nobody wraps comments. Instructions to tools are one line. */
export function commentsAreWrapped(sources: Source[]): Breach[] {
  return sources.flatMap(({ path, tree }) =>
    tree.text
      .split('\n')
      .map((text, index) => ({ text, line: index + 1 }))
      .filter(({ text }) => text.length > WIDTH && COMMENT.test(text) && !text.includes('eslint-disable'))
      .map(({ text, line }) => ({
        path,
        line,
        message: `is a comment of ${text.length} columns; ${WIDTH} are the most`,
      })),
  );
}
