import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { backfillSchedule, runSchedule } from '../../domain/schedules/by-hand';
import {
  createSchedule,
  deleteSchedule,
  editSchedule,
  findSchedule,
  pauseSchedule,
  putSchedule,
  resumeSchedule,
  scopeOf,
} from '../../domain/schedules/manage';
import { nextTicksOf, preview } from '../../domain/schedules/preview';
import { requireTicks } from '../../domain/schedules/timing';
import { readClock } from '../../store/views/clock';
import * as views from '../../store/views/schedules';
import { CLIENTS, endpoint, READERS, reply } from '../core/endpoint';
import { isUuid, readCursor, replyPage } from '../core/pages';
import { renderJob } from '../render/jobs';
import { renderSchedule, renderTick, renderTimes } from '../render/schedules';

const params = z.object({ id: protocol.id });

export const scheduleEndpoints = [
  endpoint({
    method: 'post',
    path: '/schedules',
    scope: 'kept',
    summary: 'Create a schedule, which creates a job at each of its ticks',
    roles: CLIENTS,
    body: protocol.createSchedule,
    takes: 'job',
    audit: ['schedule.created'],
    replies: { 201: protocol.schedule },
    run: async ({ services, caller, by, body }) =>
      reply(201, renderSchedule(await createSchedule(services.context, { caller, by }, body))),
  }),
  endpoint({
    method: 'put',
    path: '/schedules',
    scope: 'kept',
    summary: 'Create the schedule of a name, or replace what is set for it',
    roles: CLIENTS,
    body: protocol.putSchedule,
    takes: 'job',
    audit: ['schedule.created', 'schedule.edited', 'schedule.paused', 'schedule.resumed'],
    replies: { 200: protocol.schedule, 201: protocol.schedule },
    async run({ services, caller, by, body }) {
      const { row, isNew } = await putSchedule(services.context, { caller, by }, body);
      return reply(isNew ? 201 : 200, renderSchedule(row));
    },
  }),
  endpoint({
    method: 'get',
    path: '/schedules',
    scope: 'kept',
    summary: 'List schedules, oldest first',
    roles: READERS,
    query: protocol.listSchedulesQuery,
    replies: { 200: protocol.scheduleList },
    async run({ services, caller, query: { limit, cursor, ...filter } }) {
      const after = readCursor(cursor, isUuid);
      const rows = await views.page(services.context.db, scopeOf(caller), filter, after, limit + 1);
      return replyPage(rows, limit, renderSchedule, (row) => row.id);
    },
  }),
  endpoint({
    method: 'post',
    path: '/schedules/preview',
    scope: 'kept',
    summary: 'List the ticks that a schedule would have, without storing it',
    roles: READERS,
    body: protocol.previewSchedule,
    audit: { none: 'it changes nothing' },
    replies: { 200: protocol.nextTicks },
    async run({ services, body: { count, after, cron, everyMs, timezone, startsAt, endsAt } }) {
      requireTicks({ cron: cron ?? null, timezone });
      const now = new Date(Math.floor(await readClock(services.context.db)));
      const timing = {
        cron: cron ?? null,
        everyMs: everyMs ?? null,
        timezone,
        startsAt: startsAt === null ? null : new Date(startsAt),
        endsAt: endsAt === null ? null : new Date(endsAt),
        createdAt: now,
      };
      return reply(200, renderTimes(preview(timing, after === undefined ? now : new Date(after), count)));
    },
  }),
  endpoint({
    method: 'get',
    path: '/schedules/:id',
    scope: 'kept',
    summary: 'Read a schedule',
    roles: READERS,
    params,
    replies: { 200: protocol.schedule },
    run: async ({ services, caller, params: { id } }) =>
      reply(200, renderSchedule(await findSchedule(services.context, caller, id))),
  }),
  endpoint({
    method: 'patch',
    path: '/schedules/:id',
    scope: 'kept',
    summary: 'Change a schedule; what is left out stays as it is',
    roles: CLIENTS,
    params,
    body: protocol.editSchedule,
    takes: 'job',
    audit: ['schedule.edited', 'schedule.paused', 'schedule.resumed'],
    replies: { 200: protocol.schedule },
    run: async ({ services, caller, by, params: { id }, body }) =>
      reply(200, renderSchedule(await editSchedule(services.context, { caller, by }, id, body))),
  }),
  endpoint({
    method: 'delete',
    path: '/schedules/:id',
    scope: 'kept',
    summary: 'Delete a schedule with its history; the jobs that it created stay',
    roles: CLIENTS,
    params,
    audit: ['schedule.deleted'],
    replies: { 204: z.null() },
    async run({ services, caller, by, params: { id } }) {
      await deleteSchedule(services.context, { caller, by }, id);
      return reply(204, null);
    },
  }),
  endpoint({
    method: 'post',
    path: '/schedules/:id/pause',
    scope: 'kept',
    summary: 'Pause a schedule: it does not tick until it is resumed',
    roles: CLIENTS,
    params,
    body: protocol.pauseSchedule,
    audit: ['schedule.paused'],
    replies: { 200: protocol.schedule },
    run: async ({ services, caller, by, params: { id }, body }) =>
      reply(200, renderSchedule(await pauseSchedule(services.context, { caller, by }, id, body.reason ?? null))),
  }),
  endpoint({
    method: 'post',
    path: '/schedules/:id/resume',
    scope: 'kept',
    summary: 'Resume a schedule; ticks of the pause are not made up for',
    roles: CLIENTS,
    params,
    audit: ['schedule.resumed'],
    replies: { 200: protocol.schedule },
    run: async ({ services, caller, by, params: { id } }) =>
      reply(200, renderSchedule(await resumeSchedule(services.context, { caller, by }, id))),
  }),
  endpoint({
    method: 'post',
    path: '/schedules/:id/run',
    scope: 'kept',
    summary: 'Create the job of a schedule now, whatever its times and policies say',
    roles: CLIENTS,
    params,
    audit: ['schedule.run'],
    replies: { 201: protocol.job, 200: protocol.job },
    replyHeaders: {
      'Baton-Deduplicated': '`true` if a job with the same `uniqueKey` already existed; the answer is that job.',
    },
    async run({ services, caller, by, params: { id } }) {
      const { job, as } = await runSchedule(services.context, caller, by, id);
      if (as === 'created') return reply(201, renderJob(job));
      return reply(200, renderJob(job), { 'Baton-Deduplicated': 'true' });
    },
  }),
  endpoint({
    method: 'post',
    path: '/schedules/:id/backfill',
    scope: 'kept',
    summary: 'Create the jobs of past ticks that have created none',
    roles: CLIENTS,
    params,
    body: protocol.backfillSchedule,
    audit: ['schedule.backfilled'],
    replies: { 200: protocol.backfilled },
    async run({ services, caller, by, params: { id }, body: { from, to } }) {
      const span = { from: new Date(from), to: new Date(to) };
      return reply(200, await backfillSchedule(services.context, caller, by, id, span));
    },
  }),
  endpoint({
    method: 'get',
    path: '/schedules/:id/next',
    scope: 'kept',
    summary: 'List the next ticks of a schedule; of a paused one, those that it would have if it were resumed now',
    roles: READERS,
    params,
    query: protocol.nextTicksQuery,
    replies: { 200: protocol.nextTicks },
    async run({ services, caller, params: { id }, query: { count } }) {
      const schedule = await findSchedule(services.context, caller, id);
      return reply(200, renderTimes(nextTicksOf(schedule, new Date(await readClock(services.context.db)), count)));
    },
  }),
  endpoint({
    method: 'get',
    path: '/schedules/:id/ticks',
    scope: 'kept',
    summary: 'List what became of the ticks of a schedule, latest first',
    roles: READERS,
    params,
    query: protocol.listTicksQuery,
    replies: { 200: protocol.scheduleTickList },
    async run({ services, caller, params: { id }, query: { limit, cursor, outcome } }) {
      const schedule = await findSchedule(services.context, caller, id);
      const before = readCursor(cursor, (key) => /^\d{1,15}$/.test(key));
      const rows = await views.ticks(
        services.context.db,
        schedule.id,
        outcome ?? null,
        before === null ? null : Number(before),
        limit + 1,
      );
      return replyPage(rows, limit, renderTick, (row) => String(row.nth));
    },
  }),
];
