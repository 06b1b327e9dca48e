import type { Role } from '@baton/runner-sdk/protocol';
import { uniqueType } from '../../support/factory';
import { type Expected, type Place, plain, type Rows } from './row';

function ofSchedule(ok: Expected, send: Place['send'] = () => ({})): Place {
  return { at: ['path id'], make: (stage, owner) => stage.schedule(owner), send, ok };
}

function ofPaused(ok: Expected, send: Place['send'] = () => ({})): Place {
  return { ...ofSchedule(ok, send), make: (stage, owner) => stage.schedule(owner, { enabled: false }) };
}

const YEARLY = { cron: '0 0 1 1 *' };
const PAST = { from: '2025-12-31T00:00:00Z', to: '2026-01-02T00:00:00Z' };
const KEYS = {
  'body job.uniqueKey': 'stands for itself: what it names is looked for among the jobs of its own user',
  'body job.concurrencyKey': 'a name, not an id: jobs of one queue share it on purpose',
  'body job.orderKey': 'a name, not an id: jobs of one queue share it on purpose',
};

const onlyOwn = (role: Role): Expected => (role === 'user' ? [403, '"forbidden"'] : [201, '"active"']);

/** One that is not there yet, for a user's jobs. */
const ofUser: Pick<Place, 'at' | 'others' | 'make' | 'send' | 'ok' | 'missing'> = {
  at: ['body job.userId'],
  others: ['ben'],
  make: (_stage, owner) => Promise.resolve({ userId: owner ?? 'nobody' }),
  send: ({ userId }) => ({ json: { name: uniqueType(), ...YEARLY, job: { type: 'a', userId } } }),
  ok: [201, '"active"'],
  missing: onlyOwn,
};

/** The caller's own of this name: who names another's gets one of its own. */
function putAgain(ok: Expected, more: object, isPaused = false): Place {
  return plain(
    ok,
    ({ name, userId }) => ({ json: { name, ...YEARLY, job: { type: 'a', userId }, ...more } }),
    (stage) => stage.schedule('ann', isPaused ? { enabled: false } : {}),
  );
}

export const SCHEDULE_ROWS: Rows = {
  'POST /schedules': { places: [ofUser], harmless: KEYS },
  'PUT /schedules': {
    places: [
      ofUser,
      putAgain([200, '"overlap":"skip"'], { overlap: 'skip' }),
      putAgain([200, '"status":"paused"'], { enabled: false }),
      putAgain([200, '"status":"active"'], { enabled: true }, true),
    ],
    harmless: KEYS,
  },
  'GET /schedules': {
    places: [
      {
        at: ['query userId'],
        others: ['ben'],
        make: (stage, owner) => stage.schedule(owner),
        send: ({ name = '', userId = '' }) => ({ query: { name, userId } }),
        ok: [200, '"items":[{'],
        missing: [200, '"items":[]'],
      },
    ],
  },
  'POST /schedules/preview': { places: [plain([200, '"items":["'], () => ({ json: YEARLY }))] },
  'GET /schedules/:id': { places: [ofSchedule([200, '"active"'])] },
  'PATCH /schedules/:id': {
    places: [
      ofSchedule([200, '"jitterMs":1000'], () => ({ json: { jitterMs: 1000 } })),
      ofSchedule([200, '"paused"'], () => ({ json: { enabled: false } })),
      ofPaused([200, '"active"'], () => ({ json: { enabled: true } })),
    ],
    harmless: { ...KEYS, 'body job.userId': 'must be the user of the schedule, which the path names' },
  },
  'DELETE /schedules/:id': { places: [ofSchedule([204, ''])] },
  'POST /schedules/:id/pause': { places: [ofSchedule([200, '"paused"'], () => ({ json: { reason: 'matrix' } }))] },
  'POST /schedules/:id/resume': { places: [ofPaused([200, '"active"'])] },
  'POST /schedules/:id/run': { places: [ofSchedule([201, '"pending"'])] },
  'POST /schedules/:id/backfill': { places: [ofSchedule([200, '"count":1'], () => ({ json: PAST }))] },
  'GET /schedules/:id/next': { places: [ofSchedule([200, '"items":["'])] },
  'GET /schedules/:id/ticks': { places: [ofSchedule([200, '"items":[]'])] },
};
