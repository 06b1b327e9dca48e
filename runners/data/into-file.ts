import { createWriteStream, type WriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { join } from 'node:path';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import { judge } from './columns';
import { formatOf, writeFile } from './formats/files';
import { tooManyRejected } from './into-table';
import type { FileTarget, Moved, MoveArguments } from './jobs';
import { type From, openSource, type OpenSource } from './sources';
import { textOf } from './tables/positions';
import type { Row, Tools } from './tools';

const TOLD_EACH = 1000;
const MOST_RESULT_LENGTH = 200_000;

/** Writes the rows of a source to a file. The file exists only when it is complete; a killed attempt starts over. */
export async function intoFile(
  args: MoveArguments & { from: From; to: FileTarget },
  { tools, folder, job }: { tools: Tools; folder: string; job: JobContext },
): Promise<Moved> {
  tools.storage.requireWritable(args.to.url);
  formatOf(args.to);
  return collect(args, { tools, folder, job }, async (rows, columns) => {
    const needsColumns = ['csv', 'xlsx'].includes(formatOf(args.to));
    const [first, all] = needsColumns && columns === null ? await peeked(rows) : [null, rows];
    await writeFile(args.to, all, columns ?? Object.keys(first ?? {}), tools, job.signal);
  });
}

/** The same for a result instead of a file. */
export async function intoMemory(
  args: MoveArguments & { from: From },
  { tools, folder, job }: { tools: Tools; folder: string; job: JobContext },
): Promise<Moved & { data: Row[] }> {
  const data: Row[] = [];
  let length = 0;
  const moved = await collect(args, { tools, folder, job }, async (rows) => {
    for await (const row of rows) {
      length += JSON.stringify(row).length;
      if (length > MOST_RESULT_LENGTH)
        throw new NonRetryableError('the rows are too large for a result; give to', { code: 'data_result_too_large' });
      data.push(row);
    }
  });
  return { ...moved, data };
}

async function collect(
  args: MoveArguments & { from: From },
  { tools, folder, job }: { tools: Tools; folder: string; job: JobContext },
  write: (rows: AsyncIterable<Row>, columns: string[] | null) => Promise<void>,
): Promise<Moved> {
  if (args.rejects !== undefined) tools.storage.requireWritable(args.rejects);
  const source = await openSource(args.from, { tools, folder, job });
  const rejects = new RejectFile(join(folder, 'rejects.ndjson'));
  const run = new FileRun(args, source, rejects, job);
  try {
    const columns = args.columns === undefined ? source.columns : Object.keys(args.columns);
    await write(run.rows(), columns).catch((error: unknown) => {
      // The original error, not the one that writing made of it.
      throw run.fault ?? error;
    });
    const isKept = args.rejects !== undefined && run.rejected > 0;
    if (isKept) await tools.storage.upload(args.rejects ?? '', await rejects.end(), { signal: job.signal });
    for (const outcome of ['written', 'skipped', 'rejected'] as const) tools.count(job.type, outcome, run[outcome]);
    const { read: rows, written, skipped, rejected } = run;
    return { rows, written, skipped, rejected, rejects: isKept ? (args.rejects ?? null) : null };
  } catch (error) {
    // Rejected rows that led to the failure are what users need to see.
    if (args.rejects !== undefined && run.rejected > 0 && !job.signal.aborted)
      await tools.storage.upload(args.rejects, await rejects.end(), { signal: job.signal });
    throw error;
  } finally {
    await source.close();
    rejects.close();
  }
}

class FileRun {
  read = 0;
  written = 0;
  skipped = 0;
  rejected = 0;
  fault: unknown = null;

  constructor(
    private readonly args: MoveArguments,
    private readonly source: OpenSource,
    private readonly rejects: RejectFile,
    private readonly job: JobContext,
  ) {}

  async *rows(): AsyncIterable<Row> {
    try {
      yield* this.judged();
    } catch (error) {
      this.fault = error;
      throw error;
    }
  }

  private async *judged(): AsyncIterable<Row> {
    for await (const item of this.source.items) {
      this.read += 1;
      if (this.read % TOLD_EACH === 0) {
        this.job.signal.throwIfAborted();
        this.job.progress(this.source.percent() ?? 0, `${this.read} rows`);
      }
      const judged = judge(item, this.args);
      if (judged === 'left out') this.skipped += 1;
      else if ('reason' in judged) await this.reject(judged);
      else {
        this.written += 1;
        yield judged.row;
      }
    }
  }

  private async reject({ reason, values }: { reason: string; values: unknown }): Promise<void> {
    this.rejected += 1;
    await this.rejects.add(textOf({ row: this.read, reason, values }));
    const { mostRejected = Infinity } = this.args;
    if (this.rejected > mostRejected) throw tooManyRejected(this.rejected, mostRejected);
  }
}

/** Rejected rows, on this host until all are known. */
class RejectFile {
  private stream: WriteStream | null = null;

  constructor(private readonly path: string) {}

  async add(line: string): Promise<void> {
    this.stream ??= createWriteStream(this.path, { flags: 'wx' });
    if (!this.stream.write(`${line}\n`)) await once(this.stream, 'drain');
  }

  async end(): Promise<string> {
    if (this.stream !== null) {
      this.stream.end();
      await finished(this.stream);
    }
    return this.path;
  }

  close(): void {
    this.stream?.destroy();
  }
}

/** The first row, and all of them. */
async function peeked(rows: AsyncIterable<Row>): Promise<[Row | null, AsyncIterable<Row>]> {
  const iterator = rows[Symbol.asyncIterator]();
  const first = await iterator.next();
  const all = async function* (): AsyncIterable<Row> {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  };
  return [first.done === true ? null : first.value, all()];
}
