import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Failure } from '../../../exit-codes';

export interface ImportState {
  version: 1;
  /** The keys of its jobs begin with it. */
  key: string;
  url: string;
  /** Digest of the options that decide what the rows mean. */
  options: string;
  /** How many rows are done: created or refused. */
  rows: number;
  created: number;
  refused: number;
  /** Of the rows that are done, so that a change of the file is noticed. */
  digest: string;
  isDone: boolean;
  beganAt: string;
}

/**
 * How far an import has come, in a file beside the imported one. It is written before the first job is sent, so that an
 * import that was killed goes on with the same idempotency keys: what it sent but did not note is sent again, and
 * found.
 */
export class StateFile {
  constructor(readonly path: string) {}

  /** @throws {Failure} for a file that is something else */
  read(): ImportState | undefined {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new Failure('internal', `${this.path} cannot be read: ${(error as Error).message}`);
    }
    const state = jsonOf(text);
    if (isState(state)) return state;
    throw new Failure('usage', `${this.path} is not the state of an import`, 'Name another file with --state.');
  }

  write(state: ImportState): void {
    const next = `${this.path}.${process.pid}`;
    try {
      writeFileSync(next, `${JSON.stringify(state, null, 2)}\n`, { flush: true });
      renameSync(next, this.path);
    } catch (error) {
      throw new Failure(
        'internal',
        `${this.path} cannot be written: ${(error as Error).message}`,
        'The import notes there how far it has come; name another file with --state.',
      );
    }
  }
}

export function newState(url: string, options: string, key: string = randomUUID()): ImportState {
  return {
    version: 1,
    key,
    url,
    options,
    rows: 0,
    created: 0,
    refused: 0,
    digest: '',
    isDone: false,
    beganAt: new Date().toISOString(),
  };
}

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

function isState(value: unknown): value is ImportState {
  if (typeof value !== 'object' || value === null) return false;
  const state = value as Partial<Record<keyof ImportState, unknown>>;
  const texts = [state.key, state.url, state.options, state.digest, state.beganAt];
  return (
    state.version === 1 &&
    texts.every((one) => typeof one === 'string') &&
    [state.rows, state.created, state.refused].every((one) => Number.isSafeInteger(one)) &&
    typeof state.isDone === 'boolean'
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
