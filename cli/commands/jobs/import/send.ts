import { setTimeout as sleep } from 'node:timers/promises';
import type { BatonError, Client } from '@baton/runner-sdk';
import { isBatonError } from '../../../exit-codes';
import type { Row } from './rows';
import { RowFault } from './row-fault';

/** A row that made no job, and why. */
export interface Refusal {
  row: Row;
  code: string;
  detail: string;
  errors: { path: string; message: string }[];
}

export interface Sending {
  client: Client;
  /** The keys of the jobs are this and the number of the row. */
  key: string;
  signal: AbortSignal;
  /** Called when rows must wait, with the reason; null: they go on. */
  onWait: (reason: string | null) => void;
}

/** Refusals of the moment: the same row is accepted later. */
const PASSING = new Set(['queue_full', 'rate_limited', 'unavailable', 'internal']);
/** A request as a whole was too much, perhaps for a proxy, or one of its rows cannot be read. */
const OF_SIZE = new Set([400, 413]);
const LEAST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;
/** An error of the coordinator may be caused by the row. */
const MOST_INTERNAL = 5;

/**
 * Creates the jobs of these rows, however often that must be tried, and returns the rows that were refused.
 * @throws what makes every row fail, such as a coordinator that cannot be reached
 */
export async function sendRows(rows: readonly Row[], sending: Sending): Promise<Refusal[]> {
  const refusals: Refusal[] = [];
  let left: Row[] = [];
  for (const row of rows) {
    if (row.job instanceof RowFault) refusals.push({ row, code: 'not_a_job', detail: row.job.detail, errors: [] });
    else left.push(row);
  }
  for (let round = 0; left.length > 0; round += 1) {
    if (round > 0) await sleep(waitMs(round), undefined, { signal: sending.signal });
    const answers = await createOnce(left, sending);
    const again: Row[] = [];
    let reason: string | null = null;
    for (const [index, row] of left.entries()) {
      const answer = answers[index];
      if (answer === undefined) continue;
      if (PASSING.has(answer.code) && (answer.code !== 'internal' || round < MOST_INTERNAL)) {
        again.push(row);
        reason = answer.detail;
      } else {
        refusals.push({ row, code: answer.code, detail: answer.detail, errors: answer.errors });
      }
    }
    if (round > 0 || reason !== null) sending.onWait(reason);
    left = again;
  }
  return refusals.sort((a, b) => a.row.number - b.row.number);
}

/** What each of the rows was refused with; undefined: it is a job now. */
async function createOnce(rows: readonly Row[], sending: Sending): Promise<(BatonError | undefined)[]> {
  const { client, key, signal } = sending;
  const jobs = rows.map((row) => ({ ...row.job, idempotencyKey: `${key}.${row.number}` }));
  try {
    // The coordinator reports unknown or forbidden fields.
    const made = await client.createEach(jobs as unknown as Parameters<Client['createEach']>[0], { signal });
    return made.map((one) => (isBatonError(one) ? one : undefined));
  } catch (error) {
    if (!isBatonError(error) || !OF_SIZE.has(error.status)) throw error;
    if (rows.length === 1) return [error];
    const half = Math.ceil(rows.length / 2);
    return [...(await createOnce(rows.slice(0, half), sending)), ...(await createOnce(rows.slice(half), sending))];
  }
}

/** Doubled with every round; random, so that parallel requests part. */
function waitMs(round: number): number {
  return Math.min(MOST_WAIT_MS, LEAST_WAIT_MS * 2 ** Math.min(round - 1, 10)) * (0.5 + Math.random() / 2);
}
