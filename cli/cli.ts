import type { Client } from '@baton/runner-sdk';
import type { Environment } from './config';
import { type ChosenConnection, chooseConnection } from './connection';
import { Failure } from './exit-codes';
import type { Column } from './terminal/table';
import { Terminal, type Streams } from './terminal/terminal';
import { relativeText } from './terminal/time';

/** Options of every command. */
export interface GlobalOptions {
  json?: true | undefined;
  url?: string | undefined;
  profile?: string | undefined;
  exact?: true | undefined;
  color: boolean;
  quiet?: true | undefined;
  yes?: true | undefined;
}

const BUDGET_MS = 5000;

/** What every command works with: its options, the terminal, the client. */
export class Cli {
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly stopping = new AbortController();
  private settings: GlobalOptions = { color: true };
  private readonly clients: Client[] = [];
  /** Whether the exit code after a signal is that of the command. */
  isServing = false;
  private wantsSignals = false;

  constructor(
    readonly environment: Environment,
    streams: Streams,
  ) {
    this.terminal = new Terminal(streams, environment);
  }

  get options(): Readonly<GlobalOptions> {
    return this.settings;
  }

  get isJson(): boolean {
    return this.settings.json === true;
  }

  /** Called once, before the command's action. */
  take(options: GlobalOptions): void {
    this.settings = options;
    if (!options.color) this.terminal.withoutColour();
  }

  connection(): ChosenConnection {
    return chooseConnection(this.settings, this.environment);
  }

  /** @param budgetMs how long a call may be tried again while the coordinator cannot be reached */
  async client(budgetMs = BUDGET_MS): Promise<Client> {
    const { url, key } = this.connection();
    return this.clientOf({ url, key }, budgetMs);
  }

  async clientOf({ url, key }: { url: string; key: string }, budgetMs = BUDGET_MS): Promise<Client> {
    const { Client } = await import('@baton/runner-sdk');
    const client = new Client({ coordinatorUrl: url, apiKey: key, budgetMs });
    this.clients.push(client);
    return client;
  }

  /** Prints a value for programs, or in words for people. */
  show(value: unknown, human: () => void): void {
    if (this.isJson) this.terminal.json(value);
    else human();
  }

  /** Items as a table; an empty one says so on standard error. */
  list<Row>(value: unknown, rows: readonly Row[], columns: readonly Column<Row>[], none: string): void {
    this.show(value, () => {
      if (rows.length > 0) this.terminal.table(columns, rows);
      else this.note(none);
    });
  }

  /** For people, beside the result; not with `--json` or `--quiet`. */
  note(text: string): void {
    if (!this.isJson && this.settings.quiet !== true) this.terminal.note(text);
  }

  /** A time for display: relative, or exact with `--exact`. */
  time(iso: string | null | undefined): string | null {
    if (iso === null || iso === undefined) return null;
    return this.settings.exact === true ? iso : relativeText(iso, Date.now());
  }

  /** Both forms, where there is room. */
  fullTime(iso: string | null | undefined): string | null {
    return iso === null || iso === undefined ? null : `${iso} (${relativeText(iso, Date.now())})`;
  }

  /** From now on Ctrl-C aborts what the command waits for, instead of ending the process. */
  listenForSignals(): AbortSignal {
    this.wantsSignals = true;
    return this.stopping.signal;
  }

  /** The same for what runs until it is told to: its end by a signal is no failure. */
  serve(): AbortSignal {
    this.isServing = true;
    return this.listenForSignals();
  }

  /** `true`: the command ends by itself. */
  interrupt(reason: Error): boolean {
    const isFirst = !this.stopping.signal.aborted;
    this.stopping.abort(reason);
    return this.wantsSignals && isFirst;
  }

  /** @throws {Failure} unless `--yes` was given, or somebody says yes */
  async confirm(question: string): Promise<void> {
    if (this.settings.yes === true) return;
    const { stdin, stderr } = this.terminal.streams;
    if (stdin.isTTY !== true || stderr.isTTY !== true)
      throw new Failure('usage', `nobody can be asked here: ${question}`, 'Give --yes if that is meant.');
    const { askLine } = await import('./terminal/prompt.js');
    const answer = await askLine(this.terminal.streams, `${question} [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('usage', 'nothing was changed');
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }
}
