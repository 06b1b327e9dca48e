import { z } from 'zod';
import { jobStatus } from './jobs';
import { timestamp } from './primitives';

export const alive = z.object({ status: z.literal('ok').describe('Always `ok`: the process answers.') });

export const readiness = z.object({
  status: z.enum(['ready', 'not_ready']).describe('Whether requests can be served.'),
  reasons: z.array(z.string()).describe('Why not, in words; empty when ready.'),
});
export type Readiness = z.infer<typeof readiness>;

export const health = z.object({
  status: z.enum(['ok', 'degraded']).describe('`degraded` if the timeout monitor is late.'),
  version: z.string().describe('Version of the coordinator.'),
  at: timestamp.describe("When these numbers were read, by the coordinator's clock."),
  uptimeMs: z.int().describe('How long the process has been running, in milliseconds.'),
  database: z
    .object({
      latencyMs: z.number().describe('Time of one round trip to the database, in milliseconds.'),
      version: z.string().describe('Version of PostgreSQL.'),
    })
    .describe('The database as this coordinator sees it.'),
  monitor: z
    .object({
      lagMs: z
        .number()
        .nullable()
        .describe('Time since the last full round of the monitor, in milliseconds; null: none yet.'),
    })
    .describe('The timeout monitor of this coordinator.'),
  jobs: z.record(jobStatus, z.int()).describe('Number of jobs by status.'),
  processed: z.int().describe('Jobs that completed or failed within the last 90 days.'),
  averageRunMs: z
    .number()
    .nullable()
    .describe('Mean run time of attempts that ended within the last hour, in milliseconds; null: none did.'),
  types: z.array(z.string()).describe('Job types that were ever created, at most 500.'),
  runners: z
    .object({
      total: z.int().describe('Runners seen within the last minute.'),
      active: z.int().describe('Those that are running at least one job.'),
      idle: z.int().describe('Those that are running none.'),
    })
    .describe('Runners seen within the last minute.'),
  schedules: z
    .object({
      active: z.int().describe('Schedules that tick.'),
      paused: z.int().describe('Schedules that are paused.'),
      ended: z.int().describe('Schedules that have no ticks any more.'),
      overdueMs: z
        .int()
        .describe(
          'How late the tick is that is due for longest, in milliseconds; 0: none is due. It stays below a second or two.',
        ),
    })
    .describe('Schedules, and whether they keep time.'),
});
export type Health = z.infer<typeof health>;

/** What the database tells of its own state. */
const databaseReport = z.object({
  version: z.string().describe('Version of PostgreSQL.'),
  at: timestamp.describe("The database's clock."),
  coordinatorAt: timestamp.describe('The clock of the coordinator that answers, at the same moment.'),
  pendingMigrations: z.array(z.string()).describe('Migrations of this version that are not applied.'),
  connections: z
    .object({
      used: z.int().describe('Connections of all clients of the server.'),
      own: z.int().describe("Connections of this database's own user, mostly coordinators."),
      max: z.int().describe('The most that the server allows.'),
    })
    .describe('Connections of the server.'),
  oldestSnapshot: z
    .object({
      holder: z
        .enum(['session', 'prepared_transaction', 'replication_slot'])
        .describe('What keeps the old rows: a transaction, a prepared one, or a replication slot.'),
      name: z.string().describe('Its application and process id, its global id, or the name of the slot.'),
      ageMs: z.int().nullable().describe('How old it is, in milliseconds; null: it may not be seen.'),
      transactions: z.int().describe('How many transactions have begun since.'),
    })
    .nullable()
    .describe('The oldest snapshot: no row that was deleted since can be removed. null: there is none.'),
  settings: z
    .array(z.object({ name: z.string().describe('Its name.'), value: z.string().describe('Its value.') }))
    .describe('Settings of PostgreSQL that matter to Baton, as its sessions have them.'),
  tables: z
    .array(
      z.object({
        name: z.string().describe('Name of the table.'),
        bytes: z.int().describe('Its size with indexes, in bytes.'),
        liveRows: z.int().describe('Its rows, by estimate.'),
        deadRows: z.int().describe('Its rows that are deleted or replaced but not removed, by estimate.'),
        bloatBytes: z.int().describe('How much of the table itself is more than its rows need, by estimate.'),
        vacuumedAt: timestamp.nullable().describe('When it was vacuumed last; null: not since the statistics began.'),
      }),
    )
    .describe('The largest tables, at most 20.'),
});

/** The parts of the installation. */
export const systemReport = z.object({
  database: databaseReport.describe('The database, as the coordinator that answers sees it.'),
  coordinators: z
    .array(
      z.object({
        version: z.string().nullable().describe('Version of the coordinator; null: it does not say.'),
        host: z.string().nullable().describe('Name of its host, the first 40 characters; null: it does not say.'),
        address: z
          .string()
          .nullable()
          .describe('IP address that it connects to the database from; null: a socket of the same machine.'),
        connectedAt: timestamp.describe('Since when it listens to the database.'),
      }),
    )
    .describe('The coordinators that are connected to the database, the longest first.'),
  migrations: z
    .array(
      z.object({
        name: z.string().describe('Name of the migration.'),
        appliedAt: timestamp.describe('When it was applied.'),
      }),
    )
    .describe('The migrations that were applied to the database, in their order.'),
  settings: z
    .array(
      z.object({
        name: z.string().describe('Name of the environment variable.'),
        value: z.string().nullable().describe('The value in force; null: none, or a secret.'),
        isSet: z.boolean().describe('Whether it was set; false: the value is the default.'),
        isSecret: z.boolean().describe('Whether the value is never shown.'),
      }),
    )
    .describe('The settings of the coordinator that answers.'),
});
export type SystemReport = z.infer<typeof systemReport>;
