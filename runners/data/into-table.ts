import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import type { Client } from 'pg';
import { judge } from './columns';
import type { Moved, MoveArguments } from './jobs';
import { type From, openSource, type OpenSource } from './sources';
import { applyRows, type Numbered, type Statement } from './tables/apply';
import { told } from './tables/database';
import { type Counts, Position, type Progress, type Reject } from './tables/positions';
import type { Check } from './tables/statements';
import type { Item, Tools } from './tools';

const MOST_ROWS = 1000;
/** Most bytes as JSON; rows may be large. */
const MOST_BYTES = 4 * 1024 * 1024;

export interface IntoTable extends MoveArguments {
  from: From;
}

/** The operation on the rows, in the database of `client`. */
export interface Target {
  client: Client;
  statement: Statement;
  check: Check;
  /** Whether rows that the statement did not change count as skipped. */
  countsSkipped: boolean;
}

/** Applies the rows of a source to a table, continuing where an earlier attempt stopped. */
export async function intoTable(
  args: IntoTable,
  { client, ...target }: Target,
  { tools, folder, job }: { tools: Tools; folder: string; job: JobContext },
): Promise<Moved> {
  if (args.rejects !== undefined) tools.storage.requireWritable(args.rejects);
  const probe = await openSource(args.from, { tools, folder, job });
  let source: OpenSource = probe;
  try {
    const position = await Position.take(client, job, JSON.stringify([args.from, probe.version]).slice(0, 10_000));
    if (position.isFinished) return resultOf(position.start, args);
    if ('table' in args.from) {
      if (!probe.hasMarks) throw noKey(args.from.table);
      if (position.start.rows > 0) {
        await probe.close();
        source = await openSource(args.from, { tools, folder, job, after: position.start.mark });
      }
    }
    const run = new TableRun(args, client, target, position, tools, job);
    await run.all(source);
    await run.writeRejects();
    run.requireFewRejected();
    await position.finish();
    return resultOf(run.progress, args);
  } catch (error) {
    throw told(error);
  } finally {
    await source.close();
  }
}

class TableRun {
  readonly progress: Progress;
  private read = 0;
  private rows: Numbered[] = [];
  private rejects: Reject[] = [];
  private bytes = 0;
  private mark: unknown;
  private skipped = 0;

  constructor(
    private readonly args: IntoTable,
    private readonly client: Client,
    private readonly target: Omit<Target, 'client'>,
    private readonly position: Position,
    private readonly tools: Tools,
    private readonly job: JobContext,
  ) {
    this.progress = { ...position.start, counts: { ...position.start.counts } };
    this.mark = position.start.mark;
  }

  async all(source: OpenSource): Promise<void> {
    const { start } = this.position;
    this.read = source.hasMarks ? start.rows : 0;
    for await (const item of source.items) {
      this.read += 1;
      // Done by an earlier attempt.
      if (this.read <= start.rows) continue;
      this.take(item);
      if (this.read - this.progress.rows < MOST_ROWS && this.bytes < MOST_BYTES) continue;
      await this.commit();
      this.job.progress(source.percent() ?? 0, `${this.read} rows`);
      // Reported once the rejected rows are in their file.
      if (this.isTooBad()) return;
    }
    if (this.read > this.progress.rows) await this.commit();
  }

  async writeRejects(): Promise<void> {
    if (this.args.rejects === undefined || this.progress.counts.rejected === 0) return;
    await this.tools.storage.write(this.args.rejects, this.position.rejects(), {
      ...{ signal: this.job.signal, contentType: 'application/x-ndjson' },
    });
  }

  requireFewRejected(): void {
    if (this.isTooBad()) throw tooManyRejected(this.progress.counts.rejected, this.args.mostRejected ?? 0);
  }

  private isTooBad(): boolean {
    return this.progress.counts.rejected > (this.args.mostRejected ?? Infinity);
  }

  private take(item: Item): void {
    this.mark = item.mark ?? null;
    const judged = judge(item, this.args);
    if (judged === 'left out') this.skipped += 1;
    else if ('reason' in judged) this.reject(judged.reason, judged.values);
    else {
      const fault = this.target.check(judged.row);
      if (fault !== null) this.reject(fault, judged.row);
      else this.rows.push({ number: this.read, row: judged.row });
    }
    // An approximation, so that the text is not created twice.
    this.bytes += sizeOf(item);
  }

  private reject(reason: string, values: unknown): void {
    this.rejects.push({ row: this.read, reason, values });
  }

  private async commit(): Promise<void> {
    this.job.signal.throwIfAborted();
    const { counts } = this.progress;
    let now: Counts = counts;
    await this.position.advance(async () => {
      const { changed, rejects } = await applyRows(this.client, this.rows, this.target.statement);
      const refused = [...this.rejects, ...rejects].sort((a, b) => a.row - b.row);
      const unchanged = this.target.countsSkipped ? this.rows.length - rejects.length - changed : 0;
      now = {
        written: counts.written + changed,
        skipped: counts.skipped + this.skipped + unchanged,
        rejected: counts.rejected + refused.length,
      };
      return { progress: { rows: this.read, mark: this.mark, counts: now }, rejects: refused };
    });
    for (const outcome of ['written', 'skipped', 'rejected'] as const)
      this.tools.count(this.job.type, outcome, now[outcome] - counts[outcome]);
    Object.assign(this.progress, { rows: this.read, mark: this.mark, counts: now });
    [this.rows, this.rejects, this.bytes, this.skipped] = [[], [], 0, 0];
  }
}

export function tooManyRejected(rejected: number, most: number): NonRetryableError {
  return new NonRetryableError(`${rejected} rows are rejected, and mostRejected is ${most}`, {
    code: 'data_too_many_rejected',
  });
}

function resultOf({ rows, counts }: Progress, { rejects }: MoveArguments): Moved {
  return { rows, ...counts, rejects: counts.rejected > 0 ? (rejects ?? null) : null };
}

function noKey(table: string): NonRetryableError {
  return new NonRetryableError(`${table} needs a primary key, by which a killed job finds where it was`, {
    code: 'data_bad_table',
  });
}

function sizeOf(item: Item): number {
  const values = 'row' in item ? Object.values(item.row) : [];
  let bytes = 0;
  for (const value of values)
    bytes +=
      typeof value === 'string'
        ? value.length
        : typeof value === 'object' && value !== null
          ? JSON.stringify(value).length
          : 8;
  return bytes;
}
