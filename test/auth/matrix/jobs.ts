import type { State } from '../../support/factory';
import { uniqueType } from '../../support/factory';
import { ALWAYS_EMPTY, type Expected, NOT_FOUND, type Place, plain, type Row, type Rows } from './row';

const SCOPED = 'stands for itself: what it names is looked for among the jobs of its own user';
const SHARED = 'a name, not an id: jobs of one queue share it on purpose';
/** Jobs of nobody cannot be asked for by their user. */
const OF_USERS = { others: ['ben'] } as const;
const NARROWS = 'narrows what the caller sees anyway; it finds nothing else';
const KEYS = ['concurrencyKey', 'orderKey', 'uniqueKey', 'scheduleId', 'id', 'batchId', 'workflowId'];
const narrowing = (where: string): Record<string, string> =>
  Object.fromEntries(KEYS.map((key) => [`${where}${key}`, NARROWS]));
const ONLY_FAILED = 'only failed jobs have one, and this verb is not for them';

/** A route about one job, which its path names. */
function ofJob(state: State, ok: Expected = [200, ''], more: Partial<Place> = {}): Place {
  return { at: ['path id'], make: (stage, owner) => stage.job(owner, state), ok, ...more };
}

/** A list that is narrowed to one job. */
function listed(field: 'userId' | 'runnerId' | 'fingerprint', state: State): Place {
  return {
    at: [`query ${field}`],
    ...(field === 'userId' ? OF_USERS : {}),
    make: (stage, owner) => stage.job(owner, state),
    send: (thing) => ({ query: { type: thing['type'] ?? '', [field]: thing[field] ?? '' } }),
    ok: [200, '"items":[{'],
    missing: ALWAYS_EMPTY,
  };
}

/** The same, counted. */
function counted(field: 'userId' | 'runnerId' | 'fingerprint', state: State): Place {
  return { ...listed(field, state), ok: [200, '"count":1'], missing: [200, '"count":0'] };
}

/** Jobs that are made again: counted now, or in the background. */
function replayed(): Row {
  const { places, harmless } = verb({ of: 'failed', run: 'failed' }, {}, ['userId', 'runnerId', 'fingerprint']);
  const counts =
    (sent: Place['send']): Place['send'] =>
    (thing) => {
      const { json } = sent?.(thing) ?? {};
      return { json: { ...(json as object), dryRun: true } };
    };
  return {
    harmless: harmless ?? {},
    places: [
      ...places.slice(0, 4).map((place) => ({ ...place, send: counts(place.send) as NonNullable<Place['send']> })),
      plain(
        [202, '"matched":1'],
        (thing) => ({ json: { filter: { type: [thing['type']] } } }),
        (stage, owner) => stage.job(owner, 'failed'),
      ),
    ],
  };
}

/** A verb for all jobs that match a filter. */
function verb(
  states: { of: State; run: State },
  more: object = {},
  fields: ('userId' | 'runnerId' | 'fingerprint')[] = ['userId', 'runnerId'],
): Row {
  const body = (filter: object, choice: object = {}) => ({ json: { filter, ...more, ...choice } });
  const narrowed = (field: 'userId' | 'runnerId' | 'fingerprint'): Place => ({
    at: [`body filter.${field}`],
    ...(field === 'userId' ? OF_USERS : {}),
    make: (stage, owner) => stage.job(owner, field === 'userId' ? states.of : states.run),
    send: (thing) => body({ type: [thing['type']], [field]: [thing[field]] }),
    ok: [200, '{"count":1}'],
    missing: [200, '{"count":0}'],
  });
  const several = plain(
    [200, '{"count":2}'],
    (thing) => body({ type: [thing['type']] }),
    async (stage, owner) => {
      const { type = '' } = await stage.job(owner, states.of);
      await stage.job(owner, states.of, { type });
      return { type };
    },
  );
  const later = plain(
    [202, '"matched":1'],
    (thing) => body({ type: [thing['type']] }, { background: true }),
    (stage, owner) => stage.job(owner, states.of),
  );
  const counted = plain(
    [200, '{"count":1}'],
    (thing) => body({ type: [thing['type']] }, { dryRun: true }),
    (stage, owner) => stage.job(owner, states.of),
  );
  return {
    places: [...fields.map(narrowed), several, later, counted],
    harmless: {
      ...narrowing('body filter.'),
      ...(fields.includes('fingerprint') ? {} : { 'body filter.fingerprint': ONLY_FAILED }),
    },
  };
}

const onlyAdmins =
  (ok: Expected) =>
  (role: string): Expected =>
    role === 'admin' ? ok : [403, '"forbidden"'];
const onlyOwn = (role: string): Expected => (role === 'user' ? [403, '"forbidden"'] : [201, '"pending"']);
const freshType = (owner: string | null) => Promise.resolve({ type: uniqueType(), userId: owner ?? 'nobody' });

function analysed(by: 'type' | 'user' | 'runner', field: 'type' | 'userId' | 'runnerId'): Place {
  return {
    at: ['query key'],
    ...(by === 'user' ? OF_USERS : {}),
    make: async (stage, owner) => {
      const thing = await stage.job(owner, 'failed');
      return { ...thing, key: thing[field] ?? '' };
    },
    send: ({ key = '' }) => ({ query: { by, key } }),
    ok: [200, '"items":[{'],
    missing: ALWAYS_EMPTY,
  };
}

export const JOB_ROWS: Rows = {
  'POST /jobs': {
    places: [
      {
        at: ['body userId'],
        make: (_stage, owner) => freshType(owner),
        send: ({ type, userId }) => ({ json: { type, userId } }),
        ok: [201, '"pending"'],
        missing: onlyOwn,
      },
      {
        at: ['body dependsOn'],
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ id, type }) => ({ json: { type: `${type}-child`, dependsOn: [id] } }),
        ok: [201, '"blocked"'],
        missing: [400, '"dependsOn.0"'],
      },
    ],
    harmless: { 'body uniqueKey': SCOPED, 'body concurrencyKey': SHARED, 'body orderKey': SHARED },
  },
  'POST /jobs/bulk': {
    places: [
      {
        at: ['body jobs.userId'],
        make: (_stage, owner) => freshType(owner),
        send: ({ type, userId }) => ({ json: { jobs: [{ type }, { type, userId }] } }),
        ok: [201, '"pending"'],
        missing: onlyOwn,
      },
      {
        at: ['body jobs.userId'],
        make: (_stage, owner) => freshType(owner),
        send: ({ type, userId }) => ({ json: { jobs: [{ type, userId }], atomic: false } }),
        ok: [201, '"pending"'],
        missing: (role) => (role === 'user' ? [201, '"forbidden"'] : [201, '"pending"']),
        malformed: [201, '"validation_failed"'],
      },
      {
        at: ['body jobs.dependsOn'],
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ id, type }) => ({ json: { jobs: [{ type }, { type: `${type}-child`, dependsOn: [id] }] } }),
        ok: [201, '"blocked"'],
        missing: [400, '"jobs.1.dependsOn.0"'],
      },
    ],
    harmless: {
      'body jobs.uniqueKey': SCOPED,
      'body jobs.concurrencyKey': SHARED,
      'body jobs.orderKey': SHARED,
      'body jobs.idempotencyKey': SCOPED,
    },
  },
  'GET /jobs': {
    places: [listed('userId', 'pending'), listed('runnerId', 'failed'), listed('fingerprint', 'failed')],
    harmless: narrowing('query '),
  },
  'GET /jobs/count': {
    places: [counted('userId', 'pending'), counted('runnerId', 'failed'), counted('fingerprint', 'failed')],
    harmless: narrowing('query '),
  },
  'GET /jobs/:id': { places: [ofJob('pending')] },
  'GET /jobs/:id/attempts': { places: [ofJob('failed', [200, '"items":[{'])] },
  'GET /jobs/:id/logs': { places: [ofJob('failed', [200, '"items"'])] },
  'GET /jobs/:id/explain': { places: [ofJob('pending', [200, '"reasons"'])] },
  'GET /jobs/:id/wait': {
    places: [ofJob('completed'), ofJob('pending', [200, '"pending"'], { send: () => ({ query: { waitMs: '0' } }) })],
  },
  'GET /jobs/:id/events': {
    places: [ofJob('pending')],
    harmless: { 'query lastEventId': 'a place in the stream, which is filtered all the same' },
  },
  'GET /events': {
    places: [
      {
        at: ['query userId'],
        ...OF_USERS,
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ userId = '' }) => ({ query: { userId } }),
        ok: [200, ''],
        missing: (role) => (role === 'user' ? [403, '"forbidden"'] : [200, '']),
      },
      {
        at: ['query jobId'],
        make: (stage, owner) => stage.job(owner, 'pending'),
        send: ({ id = '' }) => ({ query: { jobId: id } }),
        ok: [200, ''],
        missing: [200, ''],
      },
    ],
    harmless: { 'query lastEventId': 'a place in the stream, which is filtered all the same' },
  },
  'DELETE /jobs/:id': {
    places: [
      ofJob('running', [200, '"cancelled"']),
      ofJob('completed', [409, '"state_conflict"']),
      // Deleting for good is for admins, whosever it is.
      ofJob('completed', [204, ''], {
        send: () => ({ query: { purge: 'true' } }),
        ok: onlyAdmins([204, '']),
        missing: onlyAdmins(NOT_FOUND),
      }),
    ],
  },
  'POST /jobs/:id/cancel': {
    places: [ofJob('pending', [200, '"cancelled"'], { send: () => ({ json: { reason: 'matrix' } }) })],
  },
  'POST /jobs/:id/retry': { places: [ofJob('failed', [200, '"pending"'])] },
  'POST /jobs/:id/run-now': { places: [ofJob('delayed', [200, '"pending"'])] },
  'PATCH /jobs/:id': { places: [ofJob('pending', [200, '"priority":7'], { send: () => ({ json: { priority: 7 } }) })] },
  'POST /jobs/cancel': verb({ of: 'pending', run: 'running' }),
  'POST /jobs/retry': verb({ of: 'failed', run: 'failed' }, {}, ['userId', 'runnerId', 'fingerprint']),
  'POST /jobs/prioritise': verb({ of: 'pending', run: 'released' }, { priority: 9 }),
  'POST /jobs/replay': replayed(),
  'POST /jobs/purge': verb({ of: 'failed', run: 'failed' }, {}, ['userId', 'runnerId', 'fingerprint']),
  'GET /bulk-operations/:id': {
    places: [
      {
        at: ['path id'],
        make: async (stage, owner) =>
          (
            await stage
              .apiOf(owner)
              .post<{ id: string }>('/jobs/cancel', { filter: { type: ['none'] }, background: true })
          ).body,
        ok: [200, '"verb":"cancel"'],
      },
    ],
  },
  'POST /bulk-operations/:id/cancel': {
    places: [
      {
        at: ['path id'],
        make: async (stage, owner) =>
          (
            await stage
              .apiOf(owner)
              .post<{ id: string }>('/jobs/cancel', { filter: { type: ['none'] }, background: true })
          ).body,
        ok: [200, '"verb":"cancel"'],
      },
    ],
  },
  'GET /dead-letters': {
    places: [listed('userId', 'failed'), listed('runnerId', 'failed'), listed('fingerprint', 'failed')],
    harmless: narrowing('query '),
  },
  'GET /dead-letters/groups': {
    places: [listed('userId', 'failed'), listed('runnerId', 'failed'), listed('fingerprint', 'failed')],
    harmless: narrowing('query '),
  },
  'GET /dead-letters/:id': { places: [ofJob('failed')] },
  'POST /dead-letters/:id/retry': {
    places: [
      ofJob('failed', [200, '"pending"']),
      ofJob('failed', [200, '{"other":1}'], { send: () => ({ json: { arguments: { other: 1 } } }) }),
    ],
  },
  'DELETE /dead-letters/:id': { places: [ofJob('failed', [204, ''])] },
  'POST /dead-letters/retry': {
    harmless: narrowing('body filter.'),
    places: [
      ...verb({ of: 'failed', run: 'failed' }, {}, ['userId', 'runnerId', 'fingerprint']).places,
      {
        at: ['body fingerprint'],
        make: (stage, owner) => stage.job(owner, 'failed'),
        send: ({ fingerprint }) => ({ json: { fingerprint } }),
        ok: [200, '{"count":1}'],
        missing: [200, '{"count":0}'],
      },
    ],
  },
  'POST /dead-letters/cleanup': {
    places: [
      plain([200, '"count":1'], () => ({ json: { all: true } }), oldFailure(1)),
      plain([200, '"count":2'], () => ({ json: { all: true } }), oldFailure(2)),
    ],
  },
  'GET /stats': { places: [plain([200, '"lastHour"'])] },
  'GET /analytics': {
    places: [
      plain([200, '"items"']),
      analysed('type', 'type'),
      analysed('runner', 'runnerId'),
      analysed('user', 'userId'),
    ],
  },
  'GET /cleanup': { places: [plain([200, '"failed"'])] },
  'POST /cleanup': {
    places: [
      plain([200, '"count":1'], (thing) => ({ json: { olderThanMs: 0, queue: thing['queue'] } }), oldFailure(1)),
      plain([200, '"count":2'], (thing) => ({ json: { olderThanMs: 0, queue: thing['queue'] } }), oldFailure(2)),
    ],
  },
};

/** Nothing else has failed by then. */
function oldFailure(count: number): Place['make'] {
  return async (stage, owner) => {
    await stage.sql.query("DELETE FROM jobs WHERE status = 'failed'");
    const queue = uniqueType('queue');
    for (let index = 0; index < count; index += 1) await stage.job(owner, 'failed', { queue });
    return { queue };
  };
}
