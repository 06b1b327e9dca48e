import { Failure } from '../../../exit-codes';
import { parseJsonText } from '../../../input/json';
import { RowFault } from './row-fault';

/** How rows become jobs. */
export interface JobShape {
  /** The type of every job; the rows are then arguments. undefined: each row is a whole job. */
  type: string | undefined;
  /** Fields of every job; they overrule those of a row. */
  fields: Readonly<Record<string, unknown>>;
  /** Columns whose cells are JSON and not text. */
  jsonColumns: ReadonlySet<string>;
}

/** Reads a cell; a promise where that may be one. */
type Cell = (text: string) => unknown;

const text: Cell = (cell) => cell;
const whole: Cell = (cell) => {
  const number = Number(cell);
  return cell.trim() !== '' && Number.isSafeInteger(number) ? number : new RowFault('must be a whole number');
};
const json: Cell = async (cell) => {
  try {
    return await parseJsonText(cell, 'the cell');
  } catch (error) {
    if (error instanceof Failure) return new RowFault(`must be JSON: ${error.message}`);
    throw error;
  }
};
const words: Cell = (cell) =>
  cell
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** Columns of whole jobs, and how their cells are read; in a CSV file arguments are columns named `arguments.NAME`. */
const COLUMNS = new Map<string, Cell>([
  ['type', text],
  ['arguments', json],
  ['queue', text],
  ['priority', (cell) => (/^-?\d+$/.test(cell) ? Number(cell) : cell)],
  ['runAt', text],
  ['delayMs', whole],
  ['timeoutMs', whole],
  ['maxAttempts', whole],
  ['retry', json],
  ['uniqueKey', text],
  ['uniqueForMs', whole],
  ['onConflict', text],
  ['concurrencyKey', text],
  ['orderKey', text],
  ['orderOnFailure', text],
  ['expiresAt', text],
  ['requires', json],
  ['prefers', json],
  ['tags', words],
  ['metadata', json],
  ['userId', text],
  ['callbackUrl', text],
  ['dependsOn', words],
  ['onDependencyFailure', text],
]);
const ARGUMENT = 'arguments.';

/** A line of NDJSON. */
export async function jobOfLine(line: string, shape: JobShape): Promise<Record<string, unknown> | RowFault> {
  try {
    return finished(await parseJsonText(line, 'the line'), shape);
  } catch (error) {
    if (error instanceof Failure) return new RowFault(error.message);
    throw error;
  }
}

/** A record of a CSV file. Empty cells of a whole job, and of JSON, are left out. */
export async function jobOfCells(
  cells: ReadonlyMap<string, string>,
  shape: JobShape,
): Promise<Record<string, unknown> | RowFault> {
  const extra = [...cells.keys()].find((name) => name.startsWith('#'));
  if (extra !== undefined) return new RowFault(`there are more cells than columns (${extra})`);
  const members = new Map<string, unknown>();
  const job = new Map<string, unknown>();
  for (const [name, cell] of cells) {
    const argument = shape.type === undefined ? (name.startsWith(ARGUMENT) ? name.slice(ARGUMENT.length) : null) : name;
    if (cell === '' && (shape.type === undefined || shape.jsonColumns.has(name))) continue;
    const read = shape.jsonColumns.has(name) ? json : argument === null ? COLUMNS.get(name) : text;
    if (read === undefined)
      return new RowFault(`there is no column ${name} of a job; arguments are columns named ${ARGUMENT}${name}`);
    const value = await read(cell);
    if (value instanceof RowFault) return new RowFault(`${name} ${value.detail}`);
    if (argument === null) job.set(name, value);
    else members.set(argument, value);
  }
  if (shape.type !== undefined) return finished(Object.fromEntries(members), shape);
  const whole = Object.fromEntries(job);
  if (members.size === 0) return finished(whole, shape);
  const given = whole['arguments'] ?? {};
  if (!isObject(given)) return new RowFault('arguments must be a JSON object beside columns of single arguments');
  return finished({ ...whole, arguments: { ...given, ...Object.fromEntries(members) } }, shape);
}

function finished(row: unknown, { type, fields }: JobShape): Record<string, unknown> | RowFault {
  if (type !== undefined) return { type, arguments: row, ...fields };
  if (!isObject(row)) return new RowFault('it must be a JSON object, or --type makes a job of any value');
  if (typeof row['type'] !== 'string') return new RowFault('the type is missing; --type gives all rows one');
  return { ...row, ...fields };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
