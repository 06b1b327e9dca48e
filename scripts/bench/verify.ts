import { Client } from 'pg';

/** How often each of `total` numbered jobs was seen. */
export class Tally {
  private readonly seen: Uint8Array;
  private strays = 0;
  count = 0;

  constructor(readonly total: number) {
    this.seen = new Uint8Array(total);
  }

  add(n: number): void {
    this.count += 1;
    const before = this.seen[n];
    if (before === undefined) this.strays += 1;
    else this.seen[n] = Math.min(255, before + 1);
  }

  sum(): Sightings {
    return {
      total: this.total,
      missing: this.seen.filter((times) => times === 0).length,
      repeated: this.seen.filter((times) => times > 1).length,
      strays: this.strays,
    };
  }
}

export interface Sightings {
  total: number;
  missing: number;
  repeated: number;
  /** Jobs that were never created. */
  strays: number;
}

/** A run in which a job was not done exactly once says nothing about speed. */
export class NotOnceError extends Error {}

/** Checks that each of the numbered jobs was handled once. @throws {NotOnceError} */
export function requireOnce(who: string, total: number, { missing, repeated, strays, ...seen }: Sightings): void {
  if (seen.total === total && missing === 0 && repeated === 0 && strays === 0) return;
  throw new NotOnceError(
    `${who}: of ${total} jobs ${missing} were not handled, ${repeated} more than once, ${strays} were never created (${seen.total} were counted)`,
  );
}

interface StoredJobs {
  stored: number;
  distinct: number;
  inStatus: number;
  /** Jobs on their first attempt, with only one claim. */
  firstTry: number;
}

/**
 * Checks that the database contains exactly the jobs numbered 0 to total - 1 of this type, all in `status` and with as
 * many claims as that takes.
 * @throws {NotOnceError}
 */
export async function requireStored(
  databaseUrl: string,
  { type, total, status }: { type: string; total: number; status: 'pending' | 'running' | 'completed' },
): Promise<void> {
  const attempt = status === 'pending' ? 0 : 1;
  const found = await readStored(databaseUrl, type, status, attempt);
  const { stored, distinct, inStatus, firstTry } = found;
  if (stored === total && distinct === total && inStatus === total && firstTry === total) return;
  throw new NotOnceError(
    `baton: of ${total} jobs ${stored} are stored (${distinct} different), ${inStatus} are ${status}, ${firstTry} were claimed ${attempt} times`,
  );
}

async function readStored(databaseUrl: string, type: string, status: string, attempt: number): Promise<StoredJobs> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<StoredJobs>(
      `SELECT count(*)::int AS stored, count(DISTINCT (arguments ->> 'n')::int)::int AS distinct,
         count(*) FILTER (WHERE status = $2::job_status)::int AS "inStatus", count(*) FILTER (WHERE attempt = $3)::int AS "firstTry"
       FROM jobs WHERE type = $1`,
      [type, status, attempt],
    );
    return rows[0] ?? { stored: 0, distinct: 0, inStatus: 0, firstTry: 0 };
  } finally {
    await client.end();
  }
}
