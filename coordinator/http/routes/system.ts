import * as protocol from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import * as database from '../../store/views/database';
import * as views from '../../store/views/system';
import type { Services } from '../core/services';
import { ADMINS, endpoint, reply } from '../core/endpoint';

export const systemEndpoints = [
  endpoint({
    method: 'get',
    path: '/system',
    summary:
      'Read which coordinators are connected, the state of the database, the migrations, and the settings in force',
    roles: ADMINS,
    replies: { 200: protocol.systemReport },
    async run({ services }) {
      const { context, processState } = services;
      const [coordinators, migrations, databaseReport] = await Promise.all([
        views.coordinators(context.db),
        views.migrations(context.db),
        reportDatabase(services),
      ]);
      return reply(200, {
        database: databaseReport,
        coordinators: coordinators.map((one) => ({ ...one, connectedAt: one.connectedAt.toISOString() })),
        migrations: migrations.map(({ name, appliedAt }) => ({ name, appliedAt: appliedAt.toISOString() })),
        settings: processState.settings,
      });
    },
  }),
];

async function reportDatabase({ context, processState }: Services): Promise<protocol.SystemReport['database']> {
  const [server, snapshot, tables, pendingMigrations] = await Promise.all([
    database.server(context.db).then((row) => ({ row, coordinatorAt: new Date() })),
    database.oldestSnapshot(context.db),
    database.tables(context.db),
    processState.pendingMigrations(),
  ]);
  if (server.row === undefined) throw new BatonError('internal', 'the database told nothing of itself');
  const { version, at, used, own, max, settings } = server.row;
  return {
    version,
    at: at.toISOString(),
    coordinatorAt: server.coordinatorAt.toISOString(),
    pendingMigrations,
    connections: { used, own, max },
    oldestSnapshot: snapshot && {
      ...snapshot,
      ageMs: snapshot.ageMs === null ? null : Math.max(0, Math.round(snapshot.ageMs)),
    },
    settings,
    tables: tables.map(({ vacuumedAt, bytes, liveRows, deadRows, bloatBytes, name }) => ({
      name,
      bytes,
      liveRows,
      deadRows,
      bloatBytes: Math.round(bloatBytes),
      vacuumedAt: vacuumedAt?.toISOString() ?? null,
    })),
  };
}
