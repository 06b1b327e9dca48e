import { randomInt } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@baton/runner-sdk';
import { createTestDatabase } from '../../support/database';
import { check, type Coverage, RULES, type Verdict } from './checker';
import type { History, LedgerLine } from './history';
import { Load } from './load';
import {
  ADMIN_KEY,
  Coordinator,
  type CoordinatorOptions,
  type Line,
  type Program,
  RunnerProcess,
  type RunnerOptions,
} from './processes';
import { Random } from './random';
import { until } from './until';
import { Witness } from './witness';

// Each takes about ten seconds by itself; on a machine that is busy with other things all its processes wait for a
// turn.
jest.setTimeout(90_000);

/** One test's database, processes and records, all of which `close` ends. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'baton-e2e-'));
  readonly ledgerFile = join(this.folder, 'ledger');
  readonly log: Line[] = [];
  readonly random: Random;
  readonly faults: Record<string, number> = {};
  private readonly programs: Program[] = [];
  private readonly clients: Client[] = [];
  private readonly closing: (() => Promise<void>)[] = [];
  private readonly loads: Load[] = [];
  private isSound = false;
  private isClosed = false;
  private theWitness: Witness | undefined;
  /** Where the jobs are. */
  databaseUrl = '';

  private constructor(
    private readonly title: string,
    readonly seed: number,
  ) {
    // A PostgreSQL that runs as another user must be able to enter.
    chmodSync(this.folder, 0o755);
    this.random = new Random(seed);
  }

  /** With a database of the run's own server. */
  static async open(title: string): Promise<Stage> {
    const stage = Stage.bare(title);
    const database = await createTestDatabase();
    stage.onClose(() => database.drop());
    await stage.watch(database.url);
    return stage;
  }

  /** With no database yet. SEED in the environment makes the same random choices again. */
  static bare(title: string): Stage {
    return new Stage(title, Number(process.env['SEED'] ?? randomInt(2 ** 31)));
  }

  /** Takes this database, which must be migrated and have no witness yet, for the one where the jobs are. */
  async watch(url: string): Promise<void> {
    this.databaseUrl = url;
    this.theWitness = new Witness(url);
    await this.theWitness.install();
  }

  /** After a failover: the jobs, and the witness with them, are at another address. */
  follow(url: string): void {
    this.theWitness = new Witness(url);
  }

  get witness(): Witness {
    if (this.theWitness === undefined) throw new Error('The stage has no database yet.');
    return this.theWitness;
  }

  onClose(end: () => Promise<void>): void {
    this.closing.unshift(end);
  }

  async coordinator(options: Partial<CoordinatorOptions> = {}): Promise<Coordinator> {
    const coordinator = new Coordinator(
      { name: 'coordinator', database: { url: this.databaseUrl }, ...options },
      this.log,
    );
    this.programs.push(coordinator);
    return coordinator.listens();
  }

  /** The same again, on the same port. */
  async restartCoordinator(ended: Coordinator): Promise<Coordinator> {
    return this.coordinator({ ...ended.options, port: ended.port });
  }

  async runner(options: Omit<RunnerOptions, 'ledgerFile'>): Promise<RunnerProcess> {
    return this.startRunner(options).claims();
  }

  startRunner(options: Omit<RunnerOptions, 'ledgerFile'>): RunnerProcess {
    if (this.isClosed) throw new Error('The test is over.');
    const runner = new RunnerProcess({ ...options, ledgerFile: this.ledgerFile }, this.log);
    this.programs.push(runner);
    return runner;
  }

  client(urls: string[]): Client {
    // Longer than a database and its coordinator take to come up again on a slow machine.
    const client = new Client({ coordinatorUrl: urls, apiKey: ADMIN_KEY, budgetMs: 120_000 });
    this.clients.push(client);
    return client;
  }

  load(urls: string[]): Load {
    const load = new Load(this.client(urls), `${this.seed}.${this.loads.length}`);
    this.loads.push(load);
    return load;
  }

  /** A fault was made, or was felt. */
  bite(fault: string, count = 1): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + count;
    this.note('test', fault);
  }

  note(from: string, text: string): void {
    this.log.push({ atMs: Date.now(), from, text });
  }

  ledger(): LedgerLine[] {
    if (!existsSync(this.ledgerFile)) return [];
    const lines = readFileSync(this.ledgerFile, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LedgerLine);
  }

  /** How many lines of the log have this text. */
  heard(text: string | RegExp): number {
    return this.log.filter((line) => (typeof text === 'string' ? line.text.includes(text) : text.test(line.text)))
      .length;
  }

  async started(jobId: string, attempt = 1): Promise<LedgerLine> {
    return until(`attempt ${attempt} of ${jobId} starts`, () =>
      this.ledger().find((line) => line.event === 'start' && line.jobId === jobId && line.attempt === attempt),
    );
  }

  /** When the report of a lost attempt is here. */
  async lateReport(jobId: string): Promise<void> {
    await until(`a late report of ${jobId} is kept`, async () =>
      (await this.witness.attempts()).some((attempt) => attempt.jobId === jobId && attempt.hasLateReport),
    );
  }

  async finished(jobIds: string[], timeoutMs = 30_000): Promise<void> {
    await until(
      `${jobIds.length} jobs finish`,
      async () => {
        const [row] = await this.witness.query<{ count: number }>(
          'SELECT count(*)::int AS count FROM jobs WHERE id = ANY ($1) AND finished_at IS NULL',
          [jobIds],
        );
        return row?.count === 0;
      },
      timeoutMs,
    );
  }

  /** All jobs there are. */
  async settled(timeoutMs = 30_000): Promise<void> {
    const unfinished = async () =>
      this.witness.query<{ id: string; status: string }>(
        'SELECT id, status FROM jobs WHERE finished_at IS NULL LIMIT 5',
      );
    await until('all jobs finish', async () => (await unfinished()).length === 0, timeoutMs).catch(
      async (error: unknown) => {
        throw new Error(
          `${String(error)}; left are, among others: ${JSON.stringify(await unfinished().catch(String))}`,
        );
      },
    );
  }

  /** Fails unless every promise was kept, and every fault that is wanted bit as often as wanted. */
  async judge(wanted: Coverage): Promise<Verdict> {
    const verdict = check(await this.history(), wanted);
    const seen = Object.entries(verdict.coverage).map(([name, count]) => `${name} ${count}`);
    process.stderr.write(`${this.title}: ${verdict.kind}, seed ${this.seed}; ${seen.join(', ')}\n`);
    if (verdict.kind === 'violated') {
      const shown = verdict.violations
        .slice(0, 20)
        .map(({ rule, jobId, detail }) => `${jobId}: ${detail} (${rule}: ${RULES[rule]})`);
      throw new Error(`${verdict.violations.length} promises broken:\n${shown.join('\n')}`);
    }
    if (verdict.kind === 'inconclusive')
      throw new Error(`inconclusive: the fault did not bite; ${verdict.missing.join('; ')}`);
    this.isSound = true;
    return verdict;
  }

  /** For a test that judges for itself: nothing is to be kept of it. */
  pass(): void {
    this.isSound = true;
  }

  /** Ends all programs. */
  async endAll(): Promise<void> {
    await Promise.all(this.programs.map(async (program) => program.hasEnded || program.kill()));
  }

  /**
   * Ends everything. A test that did not get its verdict leaves its records; with KEEP in the environment every test
   * does.
   */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const load of this.loads) load.stop();
    await this.endAll();
    await Promise.all(this.clients.map((client) => client.close()));
    if (!this.isSound || process.env['KEEP'] !== undefined) await this.keepRecords();
    for (const end of this.closing) await end();
    if (this.isSound && process.env['KEEP'] === undefined) rmSync(this.folder, { recursive: true, force: true });
  }

  private async history(): Promise<History> {
    const [changes, jobs, attempts] = await Promise.all([
      this.witness.changes(),
      this.witness.jobs(),
      this.witness.attempts(),
    ]);
    return {
      creates: this.loads.flatMap((load) => load.creates),
      changes,
      jobs,
      attempts,
      ledger: this.ledger(),
      faults: this.faults,
    };
  }

  private async keepRecords(): Promise<void> {
    const lines = this.log.map(({ atMs, from, text }) => `${new Date(atMs).toISOString()} ${from}: ${text}`);
    writeFileSync(join(this.folder, 'log'), `${lines.join('\n')}\n`);
    const history = await this.history().catch(String);
    writeFileSync(join(this.folder, 'history.json'), JSON.stringify(history, undefined, 1));
    process.stderr.write(`${this.title}: seed ${this.seed}; what was seen is in ${this.folder}\n`);
  }
}
