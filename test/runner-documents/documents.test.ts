import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Figures, readSettings, Storage, storageSettings, WorkFolders } from '@baton/runner-kit';
import { documentGeneration } from '@baton/runner-documents/jobs';
import { runHandler, startHandler } from '@baton/runner-sdk/testing';
import sharp from 'sharp';
import { Documents, type Limits } from '../../runners/documents/documents';
import { isSandboxed } from '../../runners/documents/settings';
import { findChromium } from '../../scripts/chromium';
import { eventually } from '../support/eventually';

const program = findChromium();
// Counted as skipped, and the name says why.
const withChromium = program === null ? describe.skip : describe;
const MB = 1024 * 1024;
/** Chromium starts anew for each document. */
const SLOW_MS = 120_000;

let folder: string;
let work: WorkFolders;
let server: Server;
const heard: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    heard.push(request.url ?? '');
    response.end();
  });
  server.on('connection', () => heard.push('connection'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'baton-documents-'));
  mkdirSync(join(folder, 'storage', 'invoice'), { recursive: true });
  work = new WorkFolders(join(folder, 'work'));
  await work.open();
});
afterEach(() => {
  work.close();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, 'storage', name);
const outside = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

function documents(limits: Partial<Limits & { memoryBytes: number }> = {}): Documents {
  const settings = readSettings(storageSettings, { env: { STORAGE_ROOTS: `file:${join(folder, 'storage')}` } });
  const { pages = 20, seconds = 60, bytes = 5 * MB, memoryBytes = 4096 * MB } = limits;
  return new Documents(
    { storage: new Storage(settings, folder), work, figures: new Figures('documents') },
    { program: program ?? '', isSandboxed: isSandboxed(undefined), limits: { seconds, memoryBytes } },
    { pages, seconds, bytes },
  );
}

const made = (args: object, limits?: Parameters<typeof documents>[0]) =>
  runHandler(documentGeneration, (given, job) => documents(limits).generate(given, job), {
    to: 'file:out.pdf',
    ...args,
  });

/** The text of each page, as a reader of other makers sees it. In a process of its own, because it is an ES module. */
function pagesOf(name: string): string[] {
  const script = `
    const { extractText } = require('unpdf');
    const pdf = new Uint8Array(require('node:fs').readFileSync(process.argv[1]));
    extractText(pdf, { mergePages: false }).then(({ text }) => process.stdout.write(JSON.stringify(text)));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, at(name)], { cwd: __dirname });
  if (stdout.length === 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString()) as string[];
}

const left = (): string[] => readdirSync(join(folder, 'work')).flatMap((own) => readdirSync(join(folder, 'work', own)));

function expectNothingLeft(): void {
  expect(left()).toEqual(['owner.json']);
}

withChromium('a document, by the Chromium of this host', () => {
  it(
    'holds data of a template, with styles, fonts and images beside it, and numbers of pages',
    async () => {
      const red = sharp({ create: { width: 8, height: 8, channels: 3, background: '#ff0000' } }).png();
      writeFileSync(at('invoice/logo.png'), await red.toBuffer());
      writeFileSync(at('mark.png'), await red.toBuffer());
      writeFileSync(at('invoice/style.css'), '@font-face { font-family: Own; src: url("file:font.ttf") }');
      writeFileSync(at('font.ttf'), anyFont());
      writeFileSync(
        at('invoice/page.html'),
        `<!doctype html><title>Invoice {{number id}}</title><link rel="stylesheet" href="style.css">
         <h1>Invoice of {{date at}}</h1><img src="logo.png"><p>a file:name stays <i style="font-family: Own">&#xea60;</i></p>
         {{#each lines}}<section style="break-before: page">{{text}}: {{currency price "EUR"}}</section>{{/each}}
         <img loading="lazy" src="file:mark.png">`,
      );
      const run = await made({
        template: 'file:invoice/page.html',
        data: {
          ...{ id: 1234, at: '2026-03-01T12:00:00Z' },
          lines: [
            { text: 'Bread <b>', price: 3.5 },
            { text: 'Milk', price: 2 },
          ],
        },
        ...{ locale: 'de', page: { size: 'A5', numbers: 'center' } },
      });
      expect(run.error).toBeNull();
      const pages = pagesOf('out.pdf');
      expect(pages).toHaveLength(3);
      expect(run.result).toEqual({ to: 'file:out.pdf', pages: 3, bytes: readFileSync(at('out.pdf')).length });
      expect(pages[0]).toMatch(/Invoice of 1\. März 2026/);
      expect(pages[0]).toContain('a file:name stays');
      expect(pages[1]).toMatch(/Bread <b>: 3,50\s€/);
      expect(pages.map((page) => /(\d \/ \d)/.exec(page)?.[1])).toEqual(['1 / 3', '2 / 3', '3 / 3']);
      const pdf = readFileSync(at('out.pdf'), 'latin1');
      expect(pdf).toContain('/Title (Invoice 1.234)');
      expect(/\/MediaBox \[([^\]]*)\]/.exec(pdf)?.[1]).toMatch(/^0 0 420(\.\d+)? 59[45]/);
      expect(pdf).toMatch(/\/Subtype \/Image/);
      expect(pdf).toMatch(/\/BaseFont \/[A-Z]+\+codicon/);
      expectNothingLeft();
    },
    SLOW_MS,
  );

  it(
    'runs no script, and asks for nothing outside the storage',
    async () => {
      const away = outside();
      const html = (middle: string): string => `<title>still</title><p>text</p>${middle}`;
      const harmless = html(
        `<script>document.title = 'moved'; document.body.append('scripted'); fetch('${away}/a')</script>
         <p onclick="1"></p><link rel="preconnect" href="${away}"><link rel="dns-prefetch" href="${away}">
         <noscript>without scripts</noscript><iframe src="${away}/b"></iframe><object data="${away}/c"></object>`,
      );
      expect((await made({ html: harmless })).error).toBeNull();
      const [text] = pagesOf('out.pdf');
      expect(text).toContain('without scripts');
      expect(text).not.toContain('scripted');
      for (const middle of [
        `<img src="${away}/d.png">`,
        `<style>@import url("${away}/e.css");</style>`,
        `<link rel="prefetch" href="${away}/g">`,
        '<img src="file:///etc/hostname">',
        '<img src="https://169.254.169.254/latest">',
      ]) {
        rmSync(at('out.pdf'), { force: true });
        const { error } = await made({ html: html(middle) });
        expect([middle, error?.retryable]).toEqual([middle, false]);
        expect(error?.code).toMatch(/^(storage_outside_roots|documents_refused_request)$/);
        expect(existsSync(at('out.pdf'))).toBe(false);
      }
      expect(heard).toEqual([]);
    },
    SLOW_MS,
  );

  it.each<[string, object, string, Parameters<typeof documents>[0]]>([
    ['a missing value', { html: '{{name}}' }, 'documents_bad_template', {}],
    ['a fault in the template', { html: '{{#each}' }, 'documents_bad_template', {}],
    ['a missing image', { html: '<img src="file:none.png">' }, 'storage_not_found', {}],
    ['a broken image', { html: '<img src="data:image/png;base64,AAAA">' }, 'documents_bad_file', {}],
    ['a missing template', { template: 'file:none.html' }, 'storage_not_found', {}],
    [
      'another page',
      { html: '<meta http-equiv="refresh" content="0; url=file:a.html">' },
      'documents_refused_request',
      {},
    ],
    [
      'too many pages',
      { html: '{{#each data}}<p style="break-after: page">x{{/each}}', data: { data: Array(40).fill(1) } },
      'documents_too_long',
      {},
    ],
    ['too large a template', { html: 'x'.repeat(3000) }, 'documents_too_large', { bytes: 2000 }],
    ['too large a PDF', { html: 'x' }, 'documents_too_large', { bytes: 500 }],
    ['too much memory', { html: 'x' }, 'documents_too_large', { memoryBytes: MB }],
    ['a target outside', { html: 'x', to: 'file:../out.pdf' }, 'storage_outside_roots', {}],
    ['neither template nor html', {}, 'invalid_arguments', {}],
    ['both', { html: 'x', template: 'file:x' }, 'invalid_arguments', {}],
  ])(
    'with %s fails, and leaves nothing',
    async (_name, args, code, limits) => {
      const { error } = await made(args, limits);
      expect(error).toMatchObject({ code, retryable: false });
      expect(existsSync(at('out.pdf'))).toBe(false);
      expectNothingLeft();
    },
    SLOW_MS,
  );

  it(
    'ends when a template repeats lists without an end, and when it is cancelled',
    async () => {
      const list = Array(1000).fill(1);
      const each = '{{#each @root.list}}';
      const endless = `${each.repeat(5)}${'{{/each}}'.repeat(5)}`;
      const late = await made({ html: endless, data: { list } }, { seconds: 2 });
      expect(late.error).toMatchObject({ code: 'documents_bad_template', retryable: false });
      const running = startHandler(documentGeneration, (given, job) => documents().generate(given, job), {
        ...{ html: endless, data: { list }, to: 'file:out.pdf' },
      });
      running.cancel();
      expect((await running.ended).outcome).toBe('cancelled');
      // The handler tidies up after that is told.
      await eventually(left, (names) => names.length === 1);
    },
    SLOW_MS,
  );
});

/** A font of the tools of this repository. */
function anyFont(): Buffer {
  const place = join(dirname(require.resolve('playwright-core/package.json')), 'lib', 'vite', 'traceViewer');
  const name = readdirSync(place).find((one) => /^codicon.*\.ttf$/.test(one));
  return readFileSync(join(place, name ?? ''));
}
