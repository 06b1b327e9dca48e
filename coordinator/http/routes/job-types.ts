import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { getType, type KnownType, listTypes } from '../../domain/job-types/list';
import { publishTypes } from '../../domain/job-types/publish';
import { endpoint, READERS, reply, RUNNERS } from '../core/endpoint';
import { readCursor, replyPage } from '../core/pages';

export const jobTypeEndpoints = [
  endpoint({
    method: 'put',
    path: '/runners/:id/types',
    summary: "Publish the JSON Schemas of a runner's types",
    roles: RUNNERS,
    params: z.object({ id: protocol.runnerId }),
    body: protocol.publishTypes,
    takes: 'list',
    audit: { none: 'the types themselves tell what is published' },
    replies: { 200: protocol.publishedTypes },
    run: async ({ services, caller, params: { id }, body }) =>
      reply(200, await publishTypes(services.context, caller, id, body.types)),
  }),
  endpoint({
    method: 'get',
    path: '/types',
    scope: 'kept',
    summary: 'List the job types that runners serve, with their schemas',
    roles: READERS,
    query: protocol.listTypesQuery,
    replies: { 200: protocol.jobTypeList },
    async run({ services, caller, query: { limit, cursor } }) {
      const after = readCursor(cursor, protocol.isStorableText);
      const rows = await listTypes(services.context, caller, { after, limit });
      return replyPage(rows, limit, renderType, ({ type }) => type);
    },
  }),
  endpoint({
    method: 'get',
    path: '/types/:type',
    scope: 'kept',
    summary: 'Read the schemas of a job type',
    roles: READERS,
    params: z.object({ type: protocol.jobTypeName }),
    replies: { 200: protocol.jobType },
    run: async ({ services, caller, params: { type } }) =>
      reply(200, renderType(await getType(services.context, caller, type))),
  }),
];

function renderType({ type, runners, schemas }: KnownType): protocol.JobType {
  return {
    type,
    runners,
    schemas: schemas.map((row) => ({
      hash: row.hash,
      arguments: row.arguments as protocol.JsonSchema | null,
      result: row.result as protocol.JsonSchema | null,
      runners: row.runners,
      inForce: row.inForce,
      firstSeenAt: row.firstSeenAt.toISOString(),
    })),
  };
}
