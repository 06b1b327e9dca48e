import type { Spent } from './rig/baton';
import type { Statement } from './rig/postgres';

const ROWS = 12;

/** CPU time since the start of the line's own work, by which changes can be compared on a busy machine. */
export function describeSpent({ coordinator, postgres, load }: Spent): string {
  return `  processor time: coordinator ${coordinator.toFixed(0)} ms, PostgreSQL ${postgres.toFixed(0)} ms, load ${load.toFixed(0)} ms`;
}

/** The most expensive statements of a run, as counted by pg_stat_statements. */
export function describeStatements(statements: Statement[]): string {
  const rows = statements.slice(0, ROWS).map(({ query, calls, rows, totalMs, planMs, buffers, walBytes }) => {
    const perCall = totalMs / calls;
    const figures = [
      totalMs.toFixed(0),
      calls.toFixed(0),
      perCall.toFixed(2),
      planMs.toFixed(0),
      rows.toFixed(0),
      ratio(buffers, rows),
      ratio(walBytes, rows),
    ];
    return `  ${figures.map((figure, index) => figure.padStart([8, 7, 8, 8, 8, 9, 8][index] ?? 8)).join(' ')}  ${query.replace(/\s+/g, ' ').slice(0, 100)}`;
  });
  return ['   total ms   calls  ms/call  plan ms     rows buf/row  wal B/row  statement', ...rows].join('\n');
}

function ratio(figure: number, rows: number): string {
  return rows === 0 ? '-' : (figure / rows).toFixed(1);
}
