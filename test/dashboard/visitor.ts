import { readFileSync } from 'node:fs';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { eventually } from '../support/eventually';

const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** Slow machines have several browsers and a database to run. */
const PATIENCE_MS = 30_000;

interface Look {
  colorScheme?: 'light' | 'dark';
  viewport?: { width: number; height: number };
}

/** Somebody with a browser: one page, and everything in it that should not have been. */
export class Visitor {
  /** What scripts threw, what the policy refused, and requests that left the origin. */
  readonly faults: string[] = [];
  /** Calls of the API, as `GET /jobs`. */
  readonly calls: string[] = [];

  private constructor(
    readonly page: Page,
    private readonly context: BrowserContext,
    /** Of the dashboard, with a slash at the end. */
    private readonly url: string,
  ) {}

  static async arrive(browser: Browser, url: string, look: Look = {}): Promise<Visitor> {
    const context = await browser.newContext({ viewport: { width: 1360, height: 850 }, ...look });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const visitor = new Visitor(page, context, url);
    visitor.listen();
    return visitor;
  }

  /** Signs in with a key as a person would, unless the page is known to be signed in. */
  async signIn(key: string): Promise<void> {
    await this.open('');
    await this.page.getByLabel('API key or token').fill(key);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.getByRole('button', { name: 'Account' }).waitFor();
  }

  /** @param path of the screen, without a slash at its beginning */
  async open(path: string): Promise<void> {
    await this.page.goto(this.url + path);
  }

  /** Opens a screen and waits until it shows something. */
  async visit(path: string, title: string | RegExp): Promise<void> {
    await this.open(path);
    await this.page.getByRole('heading', { level: 1, name: title }).waitFor();
    await expectNone(this.page.getByRole('status').locator('.mantine-Loader-root'));
  }

  button(name: string | RegExp) {
    return this.page.getByRole('button', { name, exact: typeof name === 'string' });
  }

  /** In the dialog that is open. */
  inDialog(name: string | RegExp) {
    return this.page.getByRole('dialog').getByRole('button', { name });
  }

  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** What axe-core finds wrong with the page as it is, each with where. */
  async violations(): Promise<string[]> {
    // Evaluated by the debugger, which the page's policy does not bind.
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate<{ violations: Violation[] }>('axe.run()');
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' ')}`);
  }

  /** Ends the visit; fails when something was wrong in the page. */
  async leave(): Promise<void> {
    await this.context.close();
    expect(this.faults).toEqual([]);
  }

  private listen(): void {
    const { origin } = new URL(this.url);
    this.page.on('pageerror', (error) => this.faults.push(`threw ${error.message}`));
    this.page.on('dialog', (dialog) => {
      this.faults.push(`opened a dialog of the browser: ${dialog.message()}`);
      void dialog.dismiss();
    });
    this.page.on('console', (message) => {
      if (/Content Security Policy|Refused to/i.test(message.text())) this.faults.push(message.text());
    });
    this.page.on('request', (request) => {
      const { protocol, pathname, origin: asked } = new URL(request.url());
      if (protocol !== 'data:' && asked !== origin) this.faults.push(`asked ${request.url()}`);
      if (!pathname.includes('/dashboard')) this.calls.push(`${request.method()} ${pathname}`);
    });
  }
}

/** Waits until all of them are gone. */
async function expectNone(locator: Locator): Promise<void> {
  await eventually(
    () => locator.count(),
    (count) => count === 0,
  );
}

interface Violation {
  id: string;
  nodes: { html: string }[];
}
