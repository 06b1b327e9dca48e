import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { setDraining } from '../../domain/runners/drain';
import * as views from '../../store/views/runners';
import { ADMINS, endpoint, OPERATORS, reply } from '../core/endpoint';
import { readCursor, replyPage } from '../core/pages';
import { renderRunner } from '../render/runners';

const params = z.object({ id: protocol.runnerId });

export const runnerEndpoints = [
  endpoint({
    method: 'get',
    path: '/runners',
    summary: 'List the runners',
    roles: OPERATORS,
    query: protocol.listRunnersQuery,
    replies: { 200: protocol.runnerList },
    async run({ services, query: { limit, cursor } }) {
      await services.context.runnerRegistry.writeSeen();
      const after = readCursor(cursor, protocol.isStorableText);
      const rows = await views.page(services.context.db, after, limit + 1);
      return replyPage(rows, limit, renderRunner, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/runners/:id/drain',
    summary: 'Drain a runner: it is given no more jobs and finishes those it has',
    roles: ADMINS,
    params,
    audit: ['runner.drained'],
    replies: { 200: protocol.runner },
    run: async ({ services, by, params: { id } }) =>
      reply(200, renderRunner(await setDraining(services.context, by, id, true))),
  }),
  endpoint({
    method: 'post',
    path: '/runners/:id/resume',
    summary: 'Resume a drained runner',
    roles: ADMINS,
    params,
    audit: ['runner.resumed'],
    replies: { 200: protocol.runner },
    run: async ({ services, by, params: { id } }) =>
      reply(200, renderRunner(await setDraining(services.context, by, id, false))),
  }),
];
