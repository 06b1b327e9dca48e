import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { visibleUser } from '../../domain/auth/caller';
import type { EventFilter } from '../../domain/events/scopes';
import { BatonError } from '../../errors';
import * as views from '../../store/views/jobs';
import { type Call, endpoint, EVENT_STREAM, READERS, type Reply } from '../core/endpoint';

const params = z.object({ id: protocol.id });
const HEADERS = {
  'Last-Event-ID': 'Id of the last event that was received. The stream resumes after it; events are kept for an hour.',
};

export const eventEndpoints = [
  endpoint({
    method: 'get',
    path: '/jobs/:id/events',
    scope: 'job',
    summary: 'Stream the events of a job, as server-sent events or over a WebSocket',
    roles: READERS,
    params,
    query: protocol.jobEventsQuery,
    headers: HEADERS,
    replies: { 200: protocol.jobEvent },
    produces: EVENT_STREAM,
    async run(call) {
      const {
        services,
        caller,
        params: { id },
      } = call;
      const job = await views.get(services.context.db, visibleUser(caller), id);
      if (job === null) throw new BatonError('not_found', `There is no job with id ${id}.`);
      return stream(call, { jobId: id });
    },
  }),
  endpoint({
    method: 'get',
    path: '/events',
    scope: 'kept',
    summary:
      'Stream the events of all jobs, or of those of a queue, type or user, as server-sent events or over a WebSocket',
    roles: READERS,
    query: protocol.eventsQuery,
    headers: HEADERS,
    replies: { 200: z.union([protocol.jobEvent, protocol.notice]) },
    produces: EVENT_STREAM,
    async run(call) {
      const { lastEventId: _lastEventId, ...filter } = call.query;
      const own = visibleUser(call.caller);
      if (own !== null && filter.userId !== undefined && filter.userId !== own)
        throw new BatonError('forbidden', `This key hears of the jobs of the user ${own} only; leave userId out.`);
      const { queues, types } = call.caller;
      return stream(call, { ...filter, ...(own === null ? {} : { userId: own }), queues, types });
    },
  }),
];

async function stream(
  call: Call<z.ZodType | undefined, typeof protocol.jobEventsQuery, undefined>,
  filter: EventFilter,
): Promise<Reply> {
  const { services, caller, query, header } = call;
  const headers = { 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' };
  if (call.isHead) return { status: 200, body: null, headers, send: (response) => void response.end() };
  const lastEventId = header('last-event-id') ?? query.lastEventId;
  call.park();
  return {
    status: 200,
    body: null,
    headers,
    ...(await services.eventConnections.start(filter, lastEventId, caller.keyId, call.disconnect)),
  };
}
