import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Figures, run, type Storage, type WorkFolders } from '@baton/runner-kit';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import { addressOf, NOWHERE } from './addresses';
import { type Browser, withPage } from './chromium';
import type { DevTools } from './devtools';
import type { DocumentArguments, DocumentResult } from './jobs';
import { countPages, pageStyle } from './pages';
import { Requests } from './requests';

export interface Limits {
  pages: number;
  seconds: number;
  bytes: number;
}

/** The process that fills templates, compiled. */
const FILL = [join(__dirname, 'fill.js'), join(__dirname, 'dist', 'fill.js')].find((path) => existsSync(path)) ?? '';
const FILL_MEMORY_MB = 512;
const CHUNK_BYTES = 1024 * 1024;
/**
 * Fonts and images that layout has not asked for yet, such as those far below, which printing would leave out. Gives
 * the addresses of those that could not be read.
 */
const LOAD_ALL = `(async () => {
  const bad = [];
  const fonts = [...document.fonts].map((one) => one.load().catch(() => bad.push('the font ' + one.family)));
  const images = [...document.images].map((one) => {
    one.loading = 'eager';
    return one.decode().catch(() => bad.push('the image ' + one.src.slice(0, 300)));
  });
  await Promise.all([...fonts, ...images]);
  return bad;
})()`;

/** Makes PDFs of templates that anybody may have written: they run no script, and reach nothing but the storage. */
export class Documents {
  constructor(
    private readonly kit: { storage: Storage; work: WorkFolders; figures: Pick<Figures, 'counter'> },
    private readonly browser: Browser,
    private readonly limits: Limits,
    private readonly pages = kit.figures.counter('documents_pages_total', 'Pages of PDFs that were written', []),
  ) {}

  generate(args: DocumentArguments, job: JobContext): Promise<DocumentResult> {
    return this.kit.work.with(async (folder) => {
      this.kit.storage.requireWritable(args.to);
      const html = await this.filled(args, folder, job);
      job.progress(20, 'filled');
      const address = args.template === undefined ? NOWHERE : addressOf(args.template);
      const file = join(folder, 'document.pdf');
      await withPage(this.browser, { folder, signal: job.signal }, async (page) => {
        const requests = await this.load(page, { address, html }, job.signal);
        await this.style(page, args);
        job.progress(60, 'laid out');
        await this.print(page, file);
        // A document that leads elsewhere may just have been replaced.
        requests.requireAll();
      });
      job.signal.throwIfAborted();
      const pages = countPages(await readFile(file));
      if (pages > this.limits.pages)
        throw fault('documents_too_long', `it has more than ${this.limits.pages} pages (DOCUMENTS_MOST_PAGES)`);
      const upload = { signal: job.signal, contentType: 'application/pdf' };
      const bytes = await this.kit.storage.upload(args.to, file, upload);
      this.pages.inc(pages);
      return { to: args.to, pages, bytes };
    });
  }

  private async filled(args: DocumentArguments, folder: string, { signal }: JobContext): Promise<string> {
    const { bytes: most, seconds } = this.limits;
    const template = args.html ?? (await this.kit.storage.read(args.template ?? '', most, signal)).toString();
    await writeFile(
      join(folder, 'input.json'),
      JSON.stringify({ template, data: { ...args.data, locale: args.locale } }),
    );
    const node = [`--max-old-space-size=${FILL_MEMORY_MB}`, FILL];
    const ended = await run(process.execPath, node, { cwd: folder, env: {}, signal, timeoutMs: seconds * 1000 });
    signal.throwIfAborted();
    if (ended.endedBy === 'timeout')
      throw fault('documents_bad_template', `the template is not filled within ${seconds} s (DOCUMENTS_MOST_SECONDS)`);
    if (ended.code === 2) throw fault('documents_bad_template', ended.stderr);
    if (/heap out of memory/i.test(ended.stderr)) throw tooLarge('the filled template');
    if (ended.code !== 0) throw new Error(`the template could not be filled: ${ended.stderr.slice(-300)}`);
    const html = await readFile(join(folder, 'page.html'));
    if (html.length > most) throw tooLarge('the filled template', most);
    return html.toString();
  }

  private async load(
    page: DevTools,
    document: { address: string; html: string },
    signal: AbortSignal,
  ): Promise<Requests> {
    if (/<meta[^>]*http-equiv\s*=\s*["']?\s*refresh/i.test(document.html))
      throw fault('documents_refused_request', 'it leads to another page, by <meta http-equiv="refresh">');
    const requests = new Requests(page, document, this.kit.storage, { mostBytes: this.limits.bytes, signal });
    const loaded = new Promise<void>((resolve, reject) => {
      page.on('Page.loadEventFired', () => resolve());
      page.on('Inspector.targetCrashed', () => {
        const crash = new Error('Chromium lost the page');
        reject(crash);
        page.close(crash);
      });
    });
    // Awaited below; until then its rejection has no other handler.
    loaded.catch(() => undefined);
    await page.send('Page.enable');
    await page.send('Inspector.enable');
    await page.send('Fetch.enable');
    await page.send('Emulation.setScriptExecutionDisabled', { value: true });
    await page.send('Emulation.setEmulatedMedia', { media: 'print' });
    const { errorText } = await page.send('Page.navigate', { url: document.address });
    if (errorText !== undefined) throw new Error(`Chromium cannot load the document: ${JSON.stringify(errorText)}`);
    await loaded;
    const bad = (await evaluate(page, LOAD_ALL)) as string[];
    requests.requireAll();
    if (bad.length > 0) throw fault('documents_bad_file', `it cannot show ${bad.slice(0, 5).join(', ')}`);
    return requests;
  }

  /** Before all other styles, so that an `@page` of the template counts more. */
  private async style(page: DevTools, args: DocumentArguments): Promise<void> {
    await evaluate(
      page,
      `{ const style = document.createElement('style');
         style.textContent = ${JSON.stringify(pageStyle(args.page))};
         document.head.prepend(style); }`,
    );
  }

  /** One page more than may be, which tells that there are more. */
  private async print(page: DevTools, file: string): Promise<void> {
    const { stream } = await page.send('Page.printToPDF', {
      ...{ printBackground: true, preferCSSPageSize: true, transferMode: 'ReturnAsStream' },
      pageRanges: `1-${this.limits.pages + 1}`,
    });
    const target = await open(file, 'wx');
    let bytes = 0;
    try {
      for (let isEnd = false; !isEnd;) {
        const read = await page.send('IO.read', { handle: stream, size: CHUNK_BYTES });
        const data = Buffer.from(String(read['data']), read['base64Encoded'] === true ? 'base64' : 'latin1');
        bytes += data.length;
        if (bytes > this.limits.bytes) throw tooLarge('the PDF', this.limits.bytes);
        await target.write(data);
        isEnd = read['eof'] === true;
      }
    } finally {
      await target.close();
    }
  }
}

async function evaluate(page: DevTools, expression: string): Promise<unknown> {
  const { result, exceptionDetails } = (await page.send('Runtime.evaluate', {
    ...{ expression, awaitPromise: true, returnByValue: true },
  })) as { result: { value?: unknown }; exceptionDetails?: { text: string } };
  if (exceptionDetails !== undefined) throw new Error(`Chromium failed: ${exceptionDetails.text}`);
  return result.value;
}

function tooLarge(what: string, mostBytes?: number): NonRetryableError {
  const most = mostBytes === undefined ? '' : `; ${mostBytes / 1024 / 1024} MB are the most (DOCUMENTS_MOST_MB)`;
  return fault('documents_too_large', `${what} is too large${most}`);
}

function fault(code: string, message: string): NonRetryableError {
  return new NonRetryableError(`the document cannot be made: ${message.slice(0, 1000)}`, { code });
}
