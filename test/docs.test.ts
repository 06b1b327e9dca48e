import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as protocol from '@baton/runner-sdk/protocol';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import type { z } from 'zod';
import { describeSettings } from '../coordinator/config/config';
import { ERRORS } from '../coordinator/errors';
import { describe as describeApi, documentationEndpoints } from '../coordinator/http/docs/openapi';
import { ENDPOINTS } from '../coordinator/http/server';
import { PAGES, renderDocuments, staleDocuments } from '../scripts/docs';
import { readSources } from './architecture/sources';
import { brokenLinks, quotedIn, readPage, readPages, symbolsIn } from './docs/markdown';
import { isThere, runShell } from './docs/process';
import { typeFaults } from './docs/typecheck';
import { workspaces } from './support/workspaces';

const ROOT = join(__dirname, '..');
const runners = workspaces(ROOT).filter((folder) => /^(runners|bridges)\//.test(folder));
const pages = readPages(ROOT);
const blocks = pages.flatMap((page) => page.blocks);
/** The packages' own READMEs show fragments; these show what works as it stands. */
const shown = blocks.filter(({ page }) => !page.startsWith('runner'));
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const wordsOf = (source: string): Set<string> => new Set(source.match(/[\w$]+/g));

describe('what is printed from the code', () => {
  test('is current', () => {
    expect(staleDocuments(ROOT).map(([path]) => `${path} is stale: run npm run docs`)).toEqual([]);
  });

  test('is found stale when it was changed, or is missing', () => {
    const folder = mkdtempSync(join(tmpdir(), 'baton-docs-'));
    for (const runner of runners) {
      const readme = join(runner, 'README.md');
      cpSync(join(ROOT, readme), join(folder, readme), { recursive: true });
    }
    // The figures of the life of a job are counted in the sources.
    const isSource = (path: string): boolean => !/[/](dist|generated|node_modules)$/.test(path);
    cpSync(join(ROOT, 'coordinator'), join(folder, 'coordinator'), { recursive: true, filter: isSource });
    cpSync(join(ROOT, 'deploy', 'monitoring'), join(folder, 'deploy', 'monitoring'), { recursive: true });
    const printed = renderDocuments(ROOT);
    mkdirSync(join(folder, 'docs'));
    for (const [path, page] of printed) writeFileSync(join(folder, path), page);
    expect(staleDocuments(folder)).toEqual([]);
    writeFileSync(join(folder, 'docs/errors.md'), printed.get('docs/errors.md')?.replace('404', '410') ?? '');
    rmSync(join(folder, 'docs/openapi.json'));
    expect(staleDocuments(folder).map(([path]) => path)).toEqual(['docs/errors.md', 'docs/openapi.json']);
    rmSync(folder, { recursive: true });
  });

  test('has no code that nothing answers with', () => {
    const used = readSources(ROOT, ['coordinator'])
      .filter(({ path }) => path !== 'coordinator/errors.ts')
      .map(({ tree }) => tree.text)
      .join('\n');
    expect(Object.keys(ERRORS).filter((code) => !used.includes(`'${code}'`))).toEqual([]);
  });

  test('lists every guide in llms.txt', () => {
    const guides = pages.map(({ path }) => path).filter((path) => /^docs\/[^/]+$/.test(path));
    expect(PAGES.map(({ url }) => url).sort()).toEqual(['README.md', 'runner-sdk/README.md', ...guides].sort());
  });

  test('names every error, setting and route', () => {
    const printed = renderDocuments(ROOT);
    for (const code of Object.keys(ERRORS)) expect(printed.get('docs/errors.md')).toContain(`| \`${code}\` |`);
    for (const { name, description } of describeSettings())
      expect(printed.get('docs/configuration.md')).toMatch(
        new RegExp(`\\| \`${name}\` \\|.*${escaped(description.slice(0, 20))}`),
      );
    for (const { path } of ENDPOINTS)
      expect(printed.get('docs/openapi.json')).toContain(`"${path.replace(/:(\w+)/g, '{$1}')}"`);
  });
});

describe('the OpenAPI document', () => {
  const faultsOf = async (document: object): Promise<string[]> => {
    const config = await createConfig({ extends: ['recommended-strict'] });
    const problems = await lintFromString({ source: JSON.stringify(document), config });
    return problems.map(({ ruleId, message, location }) => `${ruleId} ${location[0]?.pointer ?? ''} ${message}`);
  };

  test('is valid 3.1, and lint finds nothing', async () => {
    expect(await faultsOf(describeApi(ENDPOINTS))).toEqual([]);
  });

  test('would be found wrong', async () => {
    const broken = JSON.stringify(describeApi(ENDPOINTS))
      .replaceAll('"in":"path"', '"in":"nowhere"')
      .replace('#/components/schemas/Job"', '#/components/schemas/Jobb"');
    const faults = (await faultsOf(JSON.parse(broken) as object)).join('\n');
    expect(faults).toContain('path-parameters-defined');
    expect(faults).toContain('no-unresolved-refs');
  });

  test('has a name for every operation', () => {
    const { paths } = describeApi(ENDPOINTS) as {
      paths: Record<string, Record<string, { operationId: string; summary: string }>>;
    };
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    expect(operations).toHaveLength(ENDPOINTS.length);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  });
});

describe('settings of runners', () => {
  const documented = (heading: string): string[] =>
    [
      ...((text('docs/configuration.md').split(`## ${heading}\n`)[1] ?? '')
        .split('\n## ')[0]
        ?.matchAll(/^\| `([A-Z0-9_]+)`/gm) ?? []),
    ].map(([, name = '']) => name);

  test('of the SDK are those that it reads', () => {
    const sources = text('runner-sdk/transport/config.ts') + text('runner-sdk/runner/runner-config.ts');
    const read = [...sources.matchAll(/'((?:RUNNER|COORDINATOR)_[A-Z_]+|(?:HTTPS?|NO)_PROXY)'/g)].map(
      ([, name = '']) => name,
    );
    expect(read.length).toBeGreaterThan(0);
    expect(documented('Every runner that uses the SDK').sort()).toEqual([...new Set(read)].sort());
  });

  test.each(runners.filter((folder) => existsSync(join(ROOT, folder, 'index.ts'))))(
    'of %s are those that it reads',
    (folder) => {
      const files = ['config.ts', 'settings.ts', 'kit-settings.ts', 'storage/settings.ts'].map((file) =>
        join(folder, file),
      );
      const sources = files.filter((file) => existsSync(join(ROOT, file))).map(text);
      const read = [...sources.join('\n').matchAll(/^ {2}([A-Z][A-Z0-9_]+): /gm)].map(([, name = '']) => name);
      expect(read.length).toBeGreaterThan(0);
      const [kind, name = ''] = folder.split('/');
      const own = `The ${name} ${kind === 'bridges' ? 'bridge' : 'runner'}`;
      const told = documented(name === 'kit' ? 'Every runner of the kit' : own);
      // Those of the SDK are in its own table.
      expect(told.sort()).toEqual(read.filter((one) => one !== 'RUNNER_CONCURRENCY' || told.includes(one)).sort());
    },
  );
});

describe('routes', () => {
  const routes = [...ENDPOINTS, ...documentationEndpoints(ENDPOINTS)].map(
    ({ method, path }) => `${method.toUpperCase()} ${path}`,
  );
  const written = pages.filter(({ path }) => path.startsWith('docs/') && !path.startsWith('docs/decisions/'));
  const mentioned = (page: { text: string }) =>
    [...page.text.matchAll(/`(GET|POST|PATCH|PUT|DELETE) (\/[^`?\s]*)/g)].map(
      ([, method, path]) => `${method} ${path}`,
    );

  test.each(routes)('%s is explained', (route) => {
    expect(written.flatMap(mentioned)).toContain(route);
  });

  test.each(pages.map((page) => [page.path, page] as const))('those that %s mentions are there', (_path, page) => {
    expect(mentioned(page).filter((route) => !routes.includes(route))).toEqual([]);
  });
});

describe.each(pages.map((page) => [page.path, page] as const))('%s', (_path, page) => {
  test('links to what is there', () => {
    expect(brokenLinks(ROOT, page)).toEqual([]);
  });

  test('names files that are there', () => {
    const paths = quotedIn(page).filter(
      (quoted) =>
        /^(coordinator|runner-sdk|runners|bridges|test|scripts|prisma|docs)\/[\w./-]*$/.test(quoted) &&
        !/\bX\b/.test(quoted) &&
        !quoted.includes('generated/'),
    );
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test('names symbols that stand in the files named with them', () => {
    const gone = symbolsIn(page).filter(({ symbol, path }) => !wordsOf(text(path)).has(symbol));
    expect(gone).toEqual([]);
  });

  test('names commands that are there', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    const named = [...page.text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

test.each(['docs/architecture.md', 'CONTRIBUTING.md', 'docs/glossary.md'])(
  '%s names symbols that are there',
  (path) => {
    const page = readPage(path, text(path));
    const known = wordsOf(
      readSources(ROOT, ['coordinator', 'runner-sdk', 'runners', 'cli', 'scripts', 'test'])
        .map(({ tree }) => tree.text)
        .join('\n'),
    );
    // Of what may be a name, that which can hardly be a word: it has a capital inside.
    const symbols = quotedIn(page).filter((quoted) => /^[A-Za-z$][\w$]*[a-z][A-Z]\w*(\(\))?$/.test(quoted));
    expect(symbols.filter((symbol) => !known.has(symbol.replace('()', '')))).toEqual([]);
  },
);

test('a symbol that is not in its file is found', () => {
  const page = readPage(
    'docs/a.md',
    'The `Dispatcher` (`coordinator/dispatch/dispatcher.ts`), `gone` in `package.json`.',
  );
  expect(symbolsIn(page)).toEqual([{ symbol: 'Dispatcher', path: 'coordinator/dispatch/dispatcher.ts' }]);
  expect(wordsOf('const isThere = 1;').has('There')).toBe(false);
});

test('a link that leads nowhere is found', () => {
  const page = readPage(
    'docs/a.md',
    '[a](architecture.md) [b](nowhere.md) [c](architecture.md#no-such-heading) [d](../README.md#a-first-job) [e](https://example.com) `[f](code.md)`\n```\n[g](block.md)\n```\n',
  );
  expect(brokenLinks(ROOT, page)).toEqual(['nowhere.md', 'architecture.md#no-such-heading']);
});

describe('examples', () => {
  const typed = shown.filter(({ language }) => language === 'ts');
  const json = shown.filter(({ language }) => language === 'json');
  const shell = shown.filter(({ language }) => ['sh', 'bash'].includes(language));

  test('in TypeScript fit the SDK, and one that does not is found', () => {
    expect(typed.length).toBeGreaterThan(1);
    const pieces = new Map(typed.map(({ page, line, code }) => [`${page}:${line}`, code]));
    pieces.set('misfit', "import { Client } from '@baton/runner-sdk';\nawait new Client().create(7);\n");
    expect(typeFaults(ROOT, pieces)).toEqual([expect.stringMatching(/^misfit:2 /)]);
  });

  test.each(json.map((block) => [`${block.page}:${block.line}`, block] as const))(
    'in JSON: %s has the shape that it says',
    (_where, { note, code }) => {
      const value: unknown = JSON.parse(code);
      if (note === '') return;
      const schema = (protocol as unknown as Record<string, z.ZodType>)[note];
      expect(schema?.safeParse(value)).toMatchObject({ success: true });
    },
  );

  test('in JSON name their shape wherever the contract is explained', () => {
    expect(json.filter(({ page, note }) => page === 'docs/protocol.md' && note === '')).toEqual([]);
  });

  (isThere('bash')
    ? test.each(shell.map((block) => [`${block.page}:${block.line}`, block] as const))
    : test.skip.each([['in shell', shell[0]] as const]))('in shell: %s can be read', async (_where, block) => {
    const { status, stderr } = await runShell(`bash -n <<'END_OF_EXAMPLE'\n${block?.code}\nEND_OF_EXAMPLE\n`, {}, ROOT);
    expect([status, stderr]).toEqual([0, '']);
  });
});

describe('decisions', () => {
  const files = readdirSync(join(ROOT, 'docs/decisions'));

  test.each(files)('%s is numbered', (file) => {
    expect(file).toMatch(/^\d{4}-[a-z0-9-]+\.md$/);
  });

  test('have a number each', () => {
    const numbers = files.map((file) => file.slice(0, 4));
    expect(numbers.filter((number, index) => numbers.indexOf(number) !== index)).toEqual([]);
  });

  // The table of dependencies is as long as there are dependencies.
  test.each(files.filter((file) => !file.startsWith('0001-')))('%s has at most 40 lines', (file) => {
    expect(text(`docs/decisions/${file}`).trimEnd().split('\n').length).toBeLessThanOrEqual(40);
  });

  test('give a reason for every dependency, and for no other', () => {
    const manifests = ['.', ...workspaces(ROOT)].map(
      (folder) => JSON.parse(text(join(folder, 'package.json'))) as Record<string, Record<string, string> | undefined>,
    );
    const listed = new Set(
      manifests.flatMap(({ dependencies, devDependencies, optionalDependencies }) => [
        ...Object.keys(dependencies ?? {}),
        ...Object.keys(optionalDependencies ?? {}),
        ...Object.keys(devDependencies ?? {}),
      ]),
    );
    const rows = [...text('docs/decisions/0001-dependencies.md').matchAll(/^\| (`.+?`) \|/gm)].flatMap(
      ([, names = '']) => names.split(', ').map((name) => name.replaceAll('`', '')),
    );
    expect(rows.sort()).toEqual([...listed].sort());
  });
});

function escaped(pattern: string): string {
  return pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
