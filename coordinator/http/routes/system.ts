import * as protocol from '@baton/runner-sdk/protocol';
import * as views from '../../store/views/system';
import { ADMINS, endpoint, reply } from '../core/endpoint';

export const systemEndpoints = [
  endpoint({
    method: 'get',
    path: '/system',
    summary: 'Read which coordinators are connected, the migrations, and the settings in force',
    roles: ADMINS,
    replies: { 200: protocol.systemReport },
    async run({ services: { context, processState } }) {
      const [coordinators, migrations] = await Promise.all([
        views.coordinators(context.db),
        views.migrations(context.db),
      ]);
      return reply(200, {
        coordinators: coordinators.map((one) => ({ ...one, connectedAt: one.connectedAt.toISOString() })),
        migrations: migrations.map(({ name, appliedAt }) => ({ name, appliedAt: appliedAt.toISOString() })),
        settings: processState.settings,
      });
    },
  }),
];
