/**
 * What was seen of one run, by witnesses that are no part of the product: the clients' own records, a trigger in the
 * database, the handlers' ledger, and a dump of the tables at the end. All times are milliseconds of this machine's
 * clock.
 */
export interface History {
  creates: CreateRecord[];
  /** Each change of a job's row, in the order in which it was made. */
  changes: Change[];
  ledger: LedgerLine[];
  jobs: DumpedJob[];
  attempts: DumpedAttempt[];
  /** Faults that the test made, counted by name. */
  faults: Record<string, number>;
}

/** One create, as its client knows it. */
export interface CreateRecord {
  key: string;
  /** `unknown`: no answer came, so the job may or may not exist. */
  outcome: 'acknowledged' | 'unknown' | 'refused';
  jobId?: string;
}

/** A job's row as the trigger saw it. */
export interface RowView {
  status: string;
  attempt: number;
  failures: number;
  token: string | null;
  runnerId: string | null;
  runAtMs: number;
  finishedAtMs: number | null;
  result: unknown;
  error: unknown;
}

export interface Change {
  jobId: string;
  /** When its statement's transaction began, by the database's clock: what `now()` was in it. */
  nowMs: number;
  /** When the row was written. */
  atMs: number;
  /** Null: the row was made. */
  was: RowView | null;
  /** Null: the row was removed. */
  became: RowView | null;
}

/**
 * What a handler wrote before it did anything else (`start`), and last (`end`: it returned; `abort`: it was told to
 * stop).
 */
export interface LedgerLine {
  event: 'start' | 'end' | 'abort';
  jobId: string;
  attempt: number;
  runnerId: string;
  atMs: number;
}

export interface DumpedJob {
  id: string;
  key: string;
  status: string;
  attempt: number;
  failures: number;
  maxAttempts: number;
  runnerId: string | null;
  result: unknown;
}

/** An attempt that was not its job's last word. */
export interface DumpedAttempt {
  jobId: string;
  attempt: number;
  token: string;
  outcome: string;
  hasLateReport: boolean;
}
