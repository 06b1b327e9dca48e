import type { Client } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { isBatonError } from '../../exit-codes';
import { FullScreen } from '../../terminal/full-screen';
import { clean } from '../../terminal/text';
import { read, type Reading, rowsOf, type View } from './model';
import { draw, jobLines } from './picture';

const PAGE = 10;

/** A change that somebody is asked about first. */
interface Question {
  text: string;
  act: () => Promise<string>;
}

/** What is shown, what is chosen, and what the keys do. */
export class TopScreen {
  private views: View[] = [{ kind: 'overview', focus: 'queues' }];
  private reading: Reading | null = null;
  private chosen: string | null = null;
  private scroll = 0;
  private message: string | null = null;
  private question: Question | null = null;
  private readAt: Date | null = null;
  private fault: string | null = null;
  private screen: FullScreen | undefined;
  /** Wakes the wait for the next reading. */
  private wake: () => void = () => undefined;
  private isOver = false;

  constructor(
    private readonly cli: Cli,
    private readonly client: Client,
    private readonly url: string,
    private readonly intervalMs: number,
  ) {}

  /** Until `q`, or the signal. */
  async run(signal: AbortSignal): Promise<void> {
    let quit = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      quit = () => {
        this.isOver = true;
        resolve();
      };
    });
    signal.addEventListener('abort', quit);
    this.screen = new FullScreen(
      this.cli.terminal.streams,
      (key) => this.press(key, quit),
      () => this.draw(),
    );
    try {
      while (!this.isOver) {
        // A call that hangs does not keep somebody who quits.
        await Promise.race([this.refresh(), over]);
        if (!this.isOver) await Promise.race([this.pause(), over]);
      }
    } finally {
      this.wake();
      this.screen.close();
      signal.removeEventListener('abort', quit);
    }
  }

  private get view(): View {
    return this.views.at(-1) ?? { kind: 'overview', focus: 'queues' };
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.intervalMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** A failed reading leaves the last one on the screen, and says so. */
  private async refresh(): Promise<void> {
    const { view } = this;
    try {
      const reading = await read(this.client, view);
      this.fault = null;
      // A key may have led elsewhere meanwhile.
      if (view !== this.view) return void this.wakeSoon();
      this.reading = reading;
      this.readAt = new Date();
      this.keepChoice();
    } catch (error) {
      if (isBatonError(error) && error.status === 401) throw error;
      this.fault = isBatonError(error) ? error.detail : String(error);
    }
    this.draw();
  }

  private wakeSoon(): void {
    setImmediate(() => this.wake());
  }

  /** The first row, when the chosen one is no longer there. */
  private keepChoice(): void {
    if (this.reading === null) return;
    const rows = rowsOf(this.view, this.reading);
    if (this.chosen === null || !rows.includes(this.chosen)) this.chosen = rows[0] ?? null;
  }

  private draw(): void {
    const { screen } = this;
    if (screen === undefined) return;
    const at = this.readAt === null ? 'reading …' : this.readAt.toTimeString().slice(0, 8);
    const title = `baton top  ${this.url}  ${this.fault === null ? at : `${at} is the last that could be read: ${clean(this.fault)}`}`;
    const { view, reading, chosen, scroll } = this;
    const message = this.question === null ? this.message : `${this.question.text} [y/N]`;
    screen.draw(draw(this.cli, { view, reading, chosen, scroll, message, title }, screen.size));
  }

  private press(key: string, quit: () => void): void {
    if (this.question !== null) return this.answer(key);
    this.message = null;
    if (key === 'q') return quit();
    if (key === 'up' || key === 'k') this.move(-1);
    else if (key === 'down' || key === 'j') this.move(1);
    else if (key === 'pageup') this.move(-PAGE);
    else if (key === 'pagedown') this.move(PAGE);
    else if (key === 'tab') this.changeFocus();
    else if (key === 'return' || key === 'right') this.open();
    else if (key === 'escape' || key === 'left' || key === 'backspace') this.back();
    else if (key === 'p' || key === 'd' || key === 'c' || key === 'r') this.ask(key);
    this.draw();
  }

  private move(by: number): void {
    if (this.reading === null) return;
    if (this.view.kind === 'job') {
      const lines = jobLines(this.cli, this.reading, this.screen?.size.columns ?? 80).length;
      this.scroll = Math.max(0, Math.min(lines - 1, this.scroll + by));
      return;
    }
    const rows = rowsOf(this.view, this.reading);
    const at = this.chosen === null ? -1 : rows.indexOf(this.chosen);
    this.chosen = rows[Math.max(0, Math.min(rows.length - 1, at + by))] ?? null;
  }

  private changeFocus(): void {
    if (this.view.kind !== 'overview') return;
    this.views = [{ kind: 'overview', focus: this.view.focus === 'queues' ? 'runners' : 'queues' }];
    this.chosen = null;
    this.keepChoice();
  }

  private open(): void {
    const { view, chosen } = this;
    if (chosen === null || view.kind === 'job') return;
    if (view.kind === 'jobs') this.show({ kind: 'job', id: chosen });
    else if (view.focus === 'queues')
      this.show({ kind: 'jobs', title: `Jobs of queue ${chosen}`, filter: { queue: chosen } });
    else this.show({ kind: 'jobs', title: `Jobs of runner ${chosen}`, filter: { runnerId: chosen } });
  }

  private show(view: View): void {
    this.views.push(view);
    this.entered();
  }

  private back(): void {
    if (this.views.length === 1) return;
    this.views.pop();
    this.entered();
  }

  private entered(): void {
    this.chosen = null;
    this.scroll = 0;
    // What was read for the view before has no rows of this one.
    if (this.reading !== null) this.reading = { ...this.reading, jobs: [], job: null, explanation: null };
    this.keepChoice();
    this.wake();
  }

  /** Every change is asked about, because keys are pressed by mistake. */
  private ask(key: 'p' | 'd' | 'c' | 'r'): void {
    const { view, reading, client } = this;
    const id = view.kind === 'job' ? view.id : this.chosen;
    if (reading === null || id === null) return;
    if (view.kind === 'overview') {
      const queue = reading.queues.find(({ name }) => view.focus === 'queues' && name === id);
      const runner = reading.runners.find((one) => view.focus === 'runners' && one.id === id);
      if (key === 'p' && queue !== undefined)
        this.question =
          queue.paused === null
            ? {
                text: `Pause queue ${id}?`,
                act: async () => (await client.pauseQueue(id, { reason: 'baton top' }), `${id} is paused`),
              }
            : { text: `Resume queue ${id}?`, act: async () => (await client.resumeQueue(id), `${id} is resumed`) };
      if (key === 'd' && runner !== undefined)
        this.question =
          runner.drainingSince === null
            ? { text: `Drain runner ${id}?`, act: async () => (await client.drainRunner(id), `${id} drains`) }
            : {
                text: `Give runner ${id} work again?`,
                act: async () => (await client.resumeRunner(id), `${id} gets work again`),
              };
      return;
    }
    if (key === 'c')
      this.question = { text: `Cancel job ${id}?`, act: async () => `${id} is ${(await client.cancel(id)).status}` };
    if (key === 'r')
      this.question = { text: `Retry job ${id}?`, act: async () => `${id} is ${(await client.retry(id)).status}` };
  }

  private answer(key: string): void {
    const { question } = this;
    this.question = null;
    this.message = null;
    if (question !== null && key.toLowerCase() === 'y') {
      this.message = '…';
      question.act().then(
        (done) => this.tell(done),
        (error: unknown) => this.tell(isBatonError(error) ? error.detail : String(error)),
      );
    }
    this.draw();
  }

  private tell(message: string): void {
    this.message = message;
    this.draw();
    this.wake();
  }
}
