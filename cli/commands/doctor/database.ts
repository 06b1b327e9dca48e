import type { SystemReport } from '@baton/runner-sdk';
import { bytesText, countText } from '../../terminal/numbers';
import { durationText } from '../../terminal/time';
import { type Finding, ok, problem, warning } from './finding';

type Database = SystemReport['database'];

const OLD_SNAPSHOT_MS = 300_000;
const OLD_SNAPSHOT_TRANSACTIONS = 1_000_000;
const MANY_DEAD = 10_000;
const DEAD_SHARE = 0.2;
const BLOAT_SHARE = 0.5;
const BLOAT_BYTES = 50_000_000;
const LEAST_MAJOR = 14;
const CONNECTIONS_SHARE = 0.85;

/** Migrations, settings, connections, snapshots and tables, as the coordinator sees them. */
export function checkDatabase({ database, coordinators }: SystemReport): Finding[] {
  return [
    checkVersion(database),
    checkMigrations(database),
    ...checkSettings(database),
    checkConnections(database),
    checkListening(coordinators.length),
    checkSnapshot(database),
    ...checkTables(database),
  ];
}

function checkVersion({ version }: Database): Finding {
  const major = Number.parseInt(version, 10);
  if (major >= LEAST_MAJOR) return ok('database', `PostgreSQL ${version}`);
  return problem('database', `PostgreSQL ${version}`, `Baton needs ${LEAST_MAJOR} or later.`, 'Upgrade it.');
}

function checkMigrations({ pendingMigrations }: Database): Finding {
  if (pendingMigrations.length === 0) return ok('migrations', 'all are applied');
  return problem(
    'migrations',
    `${pendingMigrations.length} are missing: ${pendingMigrations.join(', ')}`,
    'The coordinator expects tables that are not there.',
    'Run: baton migrate',
  );
}

interface Expectation {
  name: string;
  isWrong: (value: string) => boolean;
  level: 'warning' | 'problem';
  why: string;
  advice: string;
}

const EXPECTATIONS: Expectation[] = [
  {
    name: 'fsync',
    isWrong: (value) => value === 'off',
    level: 'problem',
    why: 'After a crash of the machine the database may be broken, and jobs lost.',
    advice: 'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();',
  },
  {
    name: 'full_page_writes',
    isWrong: (value) => value === 'off',
    level: 'problem',
    why: 'After a crash of the machine pages may be torn, and jobs lost.',
    advice: 'ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();',
  },
  {
    name: 'synchronous_commit',
    isWrong: (value) => value === 'off',
    level: 'problem',
    why: 'Jobs that were acknowledged may be lost in a crash.',
    advice: 'ALTER SYSTEM SET synchronous_commit = on, and look for it at the role and the database.',
  },
  {
    name: 'autovacuum',
    isWrong: (value) => value === 'off',
    level: 'problem',
    why: 'Removed rows keep their place, so that claims become slower without end.',
    advice: 'ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();',
  },
  {
    name: 'track_counts',
    isWrong: (value) => value === 'off',
    level: 'problem',
    why: 'Autovacuum does nothing without it.',
    advice: 'ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();',
  },
];

function checkSettings({ settings }: Database): Finding[] {
  const values = new Map(settings.map(({ name, value }) => [name, value]));
  const wrong = EXPECTATIONS.flatMap(({ name, isWrong, level, why, advice }) => {
    const value = values.get(name);
    if (value === undefined || !isWrong(value)) return [];
    return [{ check: 'settings', level, what: `${name} is ${value}`, why, advice }];
  });
  return wrong.length > 0 ? wrong : [ok('settings', 'PostgreSQL keeps what it acknowledges, and cleans up')];
}

function checkConnections({ connections: { used, own, max } }: Database): Finding {
  const what = `${used} of ${max} are in use, ${own} by the user of the coordinators`;
  if (used < max * CONNECTIONS_SHARE) return ok('connections', what);
  return warning(
    'connections',
    what,
    'When none is left, coordinators cannot connect, and answer 503.',
    'Raise max_connections, lower BATON_POOL_SIZE, or end idle connections of other programs.',
  );
}

/** Behind a pooler in transaction mode nobody would listen: the coordinator refuses one at its start. */
function checkListening(coordinators: number): Finding {
  if (coordinators > 0)
    return ok('pooler', `none in transaction mode: ${coordinators} coordinator${coordinators === 1 ? '' : 's'} listen`);
  return problem(
    'pooler',
    'no coordinator listens to the database',
    'Notifications are lost, so jobs are found only by the poll once a second; a pooler may stand between.',
    'Connect coordinators to PostgreSQL directly, or to a pooler in session mode.',
  );
}

function checkSnapshot({ oldestSnapshot }: Database): Finding {
  if (oldestSnapshot === null) return ok('oldest snapshot', 'none is open');
  const { holder, name, ageMs, transactions } = oldestSnapshot;
  const age = ageMs === null ? `${countText(transactions)} transactions` : durationText(ageMs);
  const what = `${HOLDERS[holder]} ${name} has been open for ${age}`;
  const isOld = (ageMs ?? 0) > OLD_SNAPSHOT_MS || transactions > OLD_SNAPSHOT_TRANSACTIONS;
  if (!isOld) return ok('oldest snapshot', `${age} old`);
  return warning(
    'oldest snapshot',
    what,
    'No row that was removed since can be cleaned up, so tables grow and claims become slower.',
    ENDINGS[holder],
  );
}

const HOLDERS = {
  session: 'the transaction of',
  prepared_transaction: 'the prepared transaction',
  replication_slot: 'the replication slot',
} as const;

const ENDINGS = {
  session:
    'End it, such as with SELECT pg_terminate_backend(PROCESS); set idle_in_transaction_session_timeout for its role.',
  prepared_transaction: 'COMMIT PREPARED or ROLLBACK PREPARED it.',
  replication_slot: 'Start its replica again, or drop it: SELECT pg_drop_replication_slot(NAME).',
} as const;

function checkTables({ tables }: Database): Finding[] {
  const dead = tables.filter(
    ({ deadRows, liveRows }) => deadRows > MANY_DEAD && deadRows > (deadRows + liveRows) * DEAD_SHARE,
  );
  const bloated = tables.filter(
    ({ bloatBytes, bytes }) => bloatBytes > BLOAT_BYTES && bloatBytes > bytes * BLOAT_SHARE,
  );
  const findings = [
    ...dead.map(({ name, deadRows, liveRows, vacuumedAt }) =>
      warning(
        'dead rows',
        `${name} has ${countText(deadRows)} dead rows beside ${countText(liveRows)}; vacuumed ${vacuumedAt ?? 'never'}`,
        'Every statement that passes them becomes slower.',
        `If no old snapshot keeps them: VACUUM (ANALYZE) ${name}; and let autovacuum work more often.`,
      ),
    ),
    ...bloated.map(({ name, bloatBytes, bytes }) =>
      warning(
        'bloat',
        `about ${bytesText(bloatBytes)} of the ${bytesText(bytes)} of ${name} are empty`,
        'More pages are read and kept in memory than needed.',
        `Find what stopped vacuum; then VACUUM FULL ${name} in a quiet hour (it locks the table), or pg_repack.`,
      ),
    ),
  ];
  if (findings.length > 0) return findings;
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
  return [ok('tables', `${bytesText(total)}, without much waste`)];
}
