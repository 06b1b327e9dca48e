import type { ClaimedJob, Job, Problem } from '@baton/runner-sdk/protocol';
import type { Answer } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';
import { DOCUMENTS } from './hostile-documents';

// Every path that stores what someone sent, against every hostile document: never a 5xx, never half stored, and what is
// accepted reads back as JSON.parse read it.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let type: string;
let held: ClaimedJob;
beforeAll(async () => (coordinator = await startCoordinator()));
beforeEach(async () => {
  type = uniqueType('gate');
  await coordinator.api.create({ type, retry: { strategy: 'fixed', baseMs: 0, jitter: 0 } });
  held = await coordinator.api.claimOne({ runnerId: 'gate', types: [type] });
});
afterAll(() => coordinator.stop());

const send = (method: string, path: string, raw: string | Buffer) =>
  coordinator.api.call<Problem & Record<string, unknown>>(method, path, { raw });
const short = (text: string | Buffer) => text.toString('utf8').slice(0, 60);
const canonical = (text: string): unknown => JSON.parse(JSON.stringify(JSON.parse(text)));
const isObject = (text: string) => text.startsWith('{');
const filler = (count: number) => Array.from({ length: count }, () => null);

/** A place in a request where a payload stands, and where it is read again. */
interface Place {
  write(document: string): Promise<Answer<Record<string, unknown>>>;
  read(answer: Answer<Record<string, unknown>>): Promise<unknown>;
  takes?(document: string): boolean;
}

const heldJob = async () => coordinator.api.job(held.id);
const PLACES: Record<string, Place> = {
  'arguments of a create': {
    write: (document) => send('post', '/jobs', `{"type":"${type}-made","arguments":${document}}`),
    read: async ({ body }) => (await coordinator.api.job(String(body['id']))).arguments,
  },
  'metadata of a create': {
    write: (document) => send('post', '/jobs', `{"type":"${type}-made","metadata":${document}}`),
    read: async ({ body }) => (await coordinator.api.job(String(body['id']))).metadata,
    takes: isObject,
  },
  'arguments in an atomic list': {
    write: (document) =>
      send('post', '/jobs/bulk', `{"jobs":[{"type":"${type}-made"},{"type":"${type}-made","arguments":${document}}]}`),
    read: async ({ body }) => (await coordinator.api.job(String((body['jobs'] as Job[])[1]?.id))).arguments,
  },
  'a checkpoint of a heartbeat': {
    write: (document) =>
      send('post', `/jobs/${held.id}/heartbeat`, `{"leaseToken":"${held.leaseToken}","checkpoint":${document}}`),
    read: async () => (await heldJob()).checkpoint,
  },
};

describe.each(Object.entries(PLACES))('%s', (_name, { write, read, takes = () => true }) => {
  test('takes what is fine and gives it back', async () => {
    for (const document of DOCUMENTS.FINE.filter(takes)) {
      const answer = await write(document);
      expect([short(document), answer.status < 300]).toEqual([short(document), true]);
      expect(await read(answer)).toEqual(canonical(document));
    }
  });

  test('refuses what is not, and stores nothing', async () => {
    const before = await coordinator.sql.count('jobs');
    for (const document of [...DOCUMENTS.BAD, ...DOCUMENTS.FINE.filter((one) => !takes(one))]) {
      const { status } = await write(document);
      expect([short(document), status]).toEqual([short(document), 400]);
    }
    expect(await coordinator.sql.count('jobs')).toBe(before);
    expect(await heldJob()).toMatchObject({ status: 'running', checkpoint: null });
  });
});

test('a result: what is bad is refused while the job runs on, what is fine is kept', async () => {
  const complete = (job: ClaimedJob, document: string) =>
    send(
      'post',
      `/jobs/${job.id}/complete`,
      `{"leaseToken":"${job.leaseToken}","outcome":"completed","result":${document}}`,
    );
  for (const document of DOCUMENTS.BAD)
    expect([short(document), (await complete(held, document)).status]).toEqual([short(document), 400]);
  expect((await heldJob()).status).toBe('running');
  await coordinator.api.post('/jobs/bulk', { jobs: filler(DOCUMENTS.FINE.length).map(() => ({ type })) });
  for (const job of [held, ...(await coordinator.api.claim({ runnerId: 'gate', types: [type], max: 500 }))].slice(
    0,
    DOCUMENTS.FINE.length,
  )) {
    const document = DOCUMENTS.FINE[Number(job === held ? 0 : 1 + (counter += 1))] ?? 'true';
    expect([short(document), (await complete(job, document)).status]).toEqual([short(document), 200]);
    expect([short(document), (await complete(job, document)).status]).toEqual([short(document), 200]);
    expect((await coordinator.api.job(job.id)).result).toEqual(canonical(document));
  }
});
let counter = -1;

test('log lines, progress and errors take everything, cleaned and marked, so that no failure is wedged', async () => {
  const documents = [...DOCUMENTS.FINE, ...DOCUMENTS.BAD];
  for (const document of documents) {
    const body = `{"leaseToken":"${held.leaseToken}","progress":{"percent":${document},"message":${document}},"logs":[{"level":${document},"message":${document},"fields":${document},"ageMs":${document}}]}`;
    expect([short(document), (await send('post', `/jobs/${held.id}/heartbeat`, body)).status]).toEqual([
      short(document),
      200,
    ]);
  }
  expect(await coordinator.sql.count('job_logs WHERE job_id = $1', [held.id])).toBe(documents.length);
  expect((await coordinator.api.get(`/jobs/${held.id}/logs?limit=500`)).status).toBe(200);
  await coordinator.api.post('/jobs/bulk', { jobs: documents.map(() => ({ type, maxAttempts: 1 })) });
  const jobs = await coordinator.api.claim({ runnerId: 'gate', types: [type], max: 500 });
  expect(jobs.length).toBe(documents.length);
  for (const [nth, { id, leaseToken }] of jobs.entries()) {
    const document = documents[nth] ?? '';
    const error = `{"message":${document},"code":${document},"stack":${document},"retryable":${document},"retryAfterMs":${document}}`;
    const { status } = await send(
      'post',
      `/jobs/${id}/complete`,
      `{"leaseToken":"${leaseToken}","outcome":"failed","error":${error},"metrics":{"durationMs":${document},"cost":${document}}}`,
    );
    expect([short(document), status]).toEqual([short(document), 200]);
    expect([short(document), (await coordinator.api.attempts(id)).length]).toEqual([short(document), 1]);
  }
});

test('a late result that is bad leaves the attempt readable', async () => {
  await coordinator.sql.expireLease(held.id);
  await coordinator.runMonitor();
  for (const document of [...DOCUMENTS.BAD, ...DOCUMENTS.FINE.slice(0, 5)]) {
    const { status } = await send(
      'post',
      `/jobs/${held.id}/complete`,
      `{"leaseToken":"${held.leaseToken}","outcome":"completed","result":${document}}`,
    );
    expect([400, 409]).toContain(status);
  }
  expect(await coordinator.api.attempts(held.id)).toMatchObject([
    { outcome: 'timed_out', lateResult: { result: true } },
  ]);
});

test('the corpus is a hundred and fifty documents at least, and nobody became an admin by it', () => {
  expect(Object.values(DOCUMENTS).flat().length).toBeGreaterThanOrEqual(150);
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  expect(coordinator.logged.filter(({ level }) => level === 'error')).toEqual([]);
});
