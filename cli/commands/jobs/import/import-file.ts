import { createHash, type Hash } from 'node:crypto';
import { appendFileSync, statSync, writeFileSync } from 'node:fs';
import type { Cli } from '../../../cli';
import { Ending, Failure } from '../../../exit-codes';
import { countText } from '../../../terminal/numbers';
import { StatusLine } from '../../../terminal/status-line';
import { clean } from '../../../terminal/text';
import type { JobShape } from './job';
import { Meter, type Progress } from './meter';
import { readRows, type Row, type Source } from './rows';
import { type Refusal, sendRows, type Sending } from './send';
import { digestOf, type ImportState, newState, StateFile } from './state';

export interface ImportPlan {
  source: Source;
  shape: JobShape;
  refusedFile: string | undefined;
  /** undefined: it cannot be continued. */
  stateFile: string | undefined;
  key: string | undefined;
  again: boolean;
  atOnce: number;
}

const ROWS_PER_REQUEST = 500;
/** The SDK sends at most about 1 MB in one request. */
const LENGTH_PER_REQUEST = 800_000;
/** How long one request may be tried again while the coordinator cannot be reached. */
const BUDGET_MS = 60_000;
const MOST_SHOWN = 10;

/** Rows that are sent together. */
interface Portion {
  rows: Row[];
  /** Of all rows up to the last of these. */
  digest: string;
  /** How many rows and bytes of the file have been read with these. */
  count: number;
  bytes: number;
}

interface Flight extends Portion {
  refusals: Promise<Refusal[]>;
}

/** Creates the jobs of a file, and notes after every request how far it has come. */
export async function importFile(cli: Cli, plan: ImportPlan): Promise<void> {
  const { url } = cli.connection();
  const file = plan.stateFile === undefined ? undefined : new StateFile(plan.stateFile);
  const state = begin(plan, url, file);
  const resumedAt = state.rows;
  if (resumedAt > 0) cli.note(`Goes on after row ${countText(resumedAt)} of an import that began ${state.beganAt}.`);
  file?.write(state);
  if (plan.refusedFile !== undefined && resumedAt === 0) emptyFile(plan.refusedFile);
  const run = new Import(cli, plan, state, file);
  try {
    await run.all();
  } catch (error) {
    run.clear();
    if (file !== undefined && state.rows > 0)
      cli.note(`${countText(state.rows)} rows are done. The same command goes on from there.`);
    throw error;
  }
  run.clear();
  const { rows, created, refused, key } = state;
  cli.show({ rows, created, refused, key, resumedAt }, () => {
    cli.terminal.line(
      `${countText(created)} jobs were created${refused === 0 ? '' : `, ${countText(refused)} rows refused`}.`,
    );
  });
  if (refused > 0) throw new Ending('incomplete');
}

/** The state of the import that this one continues, or a new one. */
function begin({ source, shape, key, again }: ImportPlan, url: string, file: StateFile | undefined): ImportState {
  const options = digestOf(
    JSON.stringify([source.format, source.delimiter, shape.type, shape.fields, [...shape.jsonColumns]]),
  );
  const former = again ? undefined : file?.read();
  if (former === undefined) return newState(url, options, key);
  const { path } = source;
  const advice = 'Give --again if its jobs shall be created once more.';
  if (former.isDone) {
    const when = `${countText(former.created)} jobs, begun ${former.beganAt}`;
    throw new Failure('conflict', `${path} was imported already (${when}), as ${file?.path} says`, advice);
  }
  const other =
    former.url !== url
      ? `into ${former.url}, not ${url}`
      : former.options !== options
        ? 'with other options'
        : key !== undefined && former.key !== key
          ? `with the key ${former.key}`
          : undefined;
  if (other === undefined) return former;
  throw new Failure(
    'conflict',
    `an import of ${path} was begun ${other}, as ${file?.path} says`,
    `Repeat it as it was begun. ${advice}`,
  );
}

class Import {
  private readonly status: StatusLine;
  private readonly sending: Omit<Sending, 'client'>;
  private readonly failing = new AbortController();
  private shown = 0;
  private waitsFor: string | null = null;

  constructor(
    private readonly cli: Cli,
    private readonly plan: ImportPlan,
    private readonly state: ImportState,
    private readonly file: StateFile | undefined,
  ) {
    this.status = new StatusLine(cli);
    this.sending = {
      key: state.key,
      signal: AbortSignal.any([cli.listenForSignals(), this.failing.signal]),
      onWait: (reason) => (this.waitsFor = reason),
    };
  }

  /** Several requests are in flight; they are noted in the order of the file, so that what is noted has no gaps. */
  async all(): Promise<void> {
    const client = await this.cli.client(BUDGET_MS);
    const inFlight: Flight[] = [];
    const { path } = this.plan.source;
    const totalBytes = path === '-' ? null : (statSync(path, { throwIfNoEntry: false })?.size ?? null);
    let meter: Meter | undefined;
    try {
      for await (const portion of this.portions()) {
        this.sending.signal.throwIfAborted();
        meter ??= new Meter(totalBytes, { ...this.progress(portion), rows: this.state.rows }, performance.now());
        const refusals = sendRows(portion.rows, { ...this.sending, client });
        // It is awaited in its turn; until then a failure is no unhandled one.
        refusals.catch((error: unknown) => this.failing.abort(error));
        inFlight.push({ ...portion, refusals });
        const [first] = inFlight;
        if (first !== undefined && inFlight.length >= this.plan.atOnce) {
          await this.settle(first);
          inFlight.shift();
        }
        this.draw(meter, first ?? portion);
      }
      for (const flight of inFlight) {
        await this.settle(flight);
        if (meter !== undefined) this.draw(meter, flight);
      }
    } catch (error) {
      this.failing.abort(error);
      // What was still answered need not be sent again.
      for (const flight of inFlight)
        if (
          !(await this.settle(flight).then(
            () => true,
            () => false,
          ))
        )
          break;
      throw this.sending.signal.reason ?? error;
    }
    this.state.isDone = true;
    this.file?.write(this.state);
  }

  clear(): void {
    this.status.clear();
  }

  /** The rows that are not done yet. */
  private async *portions(): AsyncGenerator<Portion> {
    const digest = createHash('sha256');
    const { source, shape } = this.plan;
    const done = this.state.rows;
    let portion: Pick<Portion, 'rows'> = { rows: [] };
    let length = 0;
    let count = 0;
    let bytes = 0;
    for await (const row of readRows(source, shape, this.cli.terminal.streams)) {
      const { rows } = portion;
      if (rows.length >= ROWS_PER_REQUEST || (rows.length > 0 && length + row.text.length > LENGTH_PER_REQUEST)) {
        yield { rows, digest: currentDigest(digest), count, bytes };
        portion = { rows: [] };
        length = 0;
      }
      digest.update(row.text).update('\n');
      count += 1;
      bytes += Buffer.byteLength(row.text) + 1;
      length += row.text.length;
      if (count > done) portion.rows.push(row);
      else if (count === done) this.requireSame(digest);
    }
    if (count < done) this.requireSame(undefined);
    if (portion.rows.length > 0) yield { ...portion, digest: currentDigest(digest), count, bytes };
  }

  /** @throws {Failure} unless the rows that are done are as they were */
  private requireSame(digest: Hash | undefined): void {
    if (digest !== undefined && currentDigest(digest) === this.state.digest) return;
    throw new Failure(
      'conflict',
      `${this.plan.source.path} has changed in its first ${countText(this.state.rows)} rows, which are imported`,
      'Restore it, or import the new rows as a file of their own; --again imports all of it.',
    );
  }

  /** Waits for the answer, and notes it. */
  private async settle({ rows, digest, count, refusals }: Flight): Promise<void> {
    const refused = await refusals;
    if (count <= this.state.rows) return;
    for (const refusal of refused) this.tell(refusal);
    this.state.created += rows.length - refused.length;
    this.state.refused += refused.length;
    this.state.rows = count;
    this.state.digest = digest;
    this.file?.write(this.state);
  }

  private tell({ row: { line, text, job }, code, detail, errors }: Refusal): void {
    const { refusedFile } = this.plan;
    if (refusedFile !== undefined)
      appendFileSync(
        refusedFile,
        `${JSON.stringify({ line, code, detail, errors, text, ...('detail' in job ? {} : { job }) })}\n`,
      );
    this.shown += 1;
    if (this.shown > MOST_SHOWN + 1) return;
    this.status.clear();
    if (this.shown > MOST_SHOWN) {
      const where = refusedFile === undefined ? '--refused FILE keeps all of them' : `all are in ${refusedFile}`;
      return this.cli.note(`More refused rows are not shown; ${where}.`);
    }
    const fields = errors.map(({ path, message }) => ` ${path}: ${message}`).join(';');
    this.cli.note(clean(`line ${line}: ${fields === '' ? ` ${detail}` : fields} (${code})`.replace(':  ', ': ')));
  }

  private progress({ bytes }: Portion): Progress {
    return { rows: this.state.rows, refused: this.state.refused, bytes };
  }

  private draw(meter: Meter, portion: Portion): void {
    const waits = this.waitsFor === null ? '' : `  waits: ${this.waitsFor}`;
    this.status.draw(() => clean(meter.text(this.progress(portion), performance.now()) + waits));
  }
}

function currentDigest(digest: Hash): string {
  return digest.copy().digest('hex').slice(0, 32);
}

function emptyFile(path: string): void {
  try {
    writeFileSync(path, '');
  } catch (error) {
    throw new Failure('internal', `${path} cannot be written: ${(error as Error).message}`);
  }
}
