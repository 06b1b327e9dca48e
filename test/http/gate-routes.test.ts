import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { AnyEndpoint } from '../../coordinator/http/core/endpoint';
import { ENDPOINTS } from '../../coordinator/http/server';
import { bodyFields } from '../auth/matrix/fields';
import { nameOf, type Place } from '../auth/matrix/row';
import { ROWS } from '../auth/matrix/rows';
import { Stage, type Thing } from '../auth/matrix/stage';
import { DOCUMENTS } from './hostile-documents';

// Every route that writes, as `endpoint()` declares it, gets every hostile document: as its body, and in the place of
// each of the fields that a good call of it has. A new route joins by its row in test/auth/matrix/.

const MOST_GROWTH_BYTES = 400 * 1024 * 1024;
const AT_ONCE = 8;
const ALL = [...DOCUMENTS.FINE, ...DOCUMENTS.BAD];

let stage: Stage;
let biggest = 0;
const loop = monitorEventLoopDelay({ resolution: 10 });
beforeAll(async () => {
  stage = await Stage.open();
  biggest = process.memoryUsage().rss;
  loop.enable();
});
afterAll(() => stage.coordinator.stop());

const writing = ENDPOINTS.filter(({ method }) => method !== 'get').map(
  (endpoint) => [nameOf(endpoint), endpoint] as const,
);
const short = (document: string | Buffer) => document.toString('latin1').slice(0, 60);

describe.each(writing)('%s', (name, endpoint) => {
  const all = ROWS[name]?.places ?? [];
  const owned = all.filter((place) => place.isCredential !== true);
  const places = owned.length > 0 ? owned : all;

  test('takes or refuses each document as its body, and refuses what is no JSON', async () => {
    const [place] = places;
    if (place === undefined)
      throw new Error(`${name} has no row in test/auth/matrix/; matrix.test.ts says what it has to hold`);
    const thing = await make(place);
    const told = await sendAll(endpoint, thing, ALL);
    expect(told.filter(({ status }) => status >= 500)).toEqual([]);
    const broken = await sendAll(endpoint, thing, DOCUMENTS.BROKEN);
    // A route without a body does not read one; an empty one is none.
    const wanted = (document: string | Buffer) => (endpoint.body === undefined || document.length === 0 ? 499 : 400);
    expect(
      broken.filter(({ status }, index) =>
        wanted(DOCUMENTS.BROKEN[index] ?? '') === 400 ? status !== 400 : status >= 500,
      ),
    ).toEqual([]);
  }, 60_000);

  test('takes or refuses each document in the place of each field', async () => {
    for (const place of places) {
      const thing = await make(place);
      const { json } = place.send?.(thing) ?? {};
      const paths = [
        ...new Map([...pathsOf(json), ...bodyFields(endpoint)].map((path) => [path.join('.'), path])).values(),
      ];
      // Each document stands in one field of the call, and each field has its share of them.
      const bodies = ALL.flatMap((document, index) => {
        const path = paths[index % paths.length];
        return path === undefined ? [] : [planted(json, path, document)];
      });
      const told = await sendAll(endpoint, thing, bodies);
      expect(told.filter(({ status }) => status >= 500)).toEqual([]);
    }
  }, 120_000);
});

test('nothing is left behind: no fault is logged, and every job can still be ended', async () => {
  const { coordinator, sql } = stage;
  expect(coordinator.logged.filter(({ level }) => level === 'error')).toEqual([]);
  const api = stage.api('admin');
  await sql.query(
    'UPDATE queues SET paused_at = NULL, paused_by = NULL, paused_reason = NULL, paused_until = NULL, concurrency = NULL, concurrency_per_key = NULL, rate_max = NULL, rate_per_ms = NULL',
  );
  await coordinator.app.context.queueSettings.read();
  await sql.query("UPDATE jobs SET lease_expires_at = now() - interval '1 ms' WHERE status = 'running'");
  await coordinator.runMonitor();
  await sql.query(
    "UPDATE jobs SET run_at = now(), hold = NULL, position = NULL, requires = NULL WHERE status = 'pending'",
  );
  let ended = 0;
  // The end of a job may free others that depend on it.
  for (let before = -1; ended > before;) {
    before = ended;
    await coordinator.app.context.followUps.dependants.idle();
    await coordinator.app.loops.due.runOnce();
    const types = (
      await sql.query<{ type: string }>(
        "SELECT DISTINCT l.type FROM jobs j JOIN lanes l ON l.id = j.lane_id WHERE j.status = 'pending' AND l.requires IS NULL AND l.prefers IS NULL",
      )
    ).map(({ type }) => type);
    for (let from = 0; from < types.length; from += 200) {
      for (;;) {
        const jobs = await api.claim({ runnerId: 'last', types: types.slice(from, from + 200), max: 500 });
        if (jobs.length === 0) break;
        for (const job of jobs) expect((await api.complete(job)).status).toBe(200);
        ended += jobs.length;
      }
    }
  }
  expect(ended).toBeGreaterThan(0);
  const left = await sql.query(
    "SELECT j.id, j.status, j.type, j.queue FROM jobs j JOIN lanes l ON l.id = j.lane_id WHERE j.status IN ('pending', 'running') AND l.requires IS NULL AND l.prefers IS NULL AND (j.expires_at IS NULL OR j.expires_at > now()) LIMIT 5",
  );
  expect(left).toEqual([]);
}, 120_000);

test('memory and the event loop held', () => {
  process.stdout.write(
    `the corpus: event loop delayed at most ${Math.round(loop.max / 1e6)} ms (p99 ${Math.round(loop.percentile(99) / 1e6)} ms), memory ${Math.round((process.memoryUsage().rss - biggest) / 1e6)} MB more, the tests' own included\n`,
  );
  expect(process.memoryUsage().rss - biggest).toBeLessThan(MOST_GROWTH_BYTES);
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
});

const make = (place: Place): Promise<Thing> => place.make?.(stage, 'ann') ?? Promise.resolve({});

interface Told {
  document: string;
  status: number;
}

async function sendAll(endpoint: AnyEndpoint, thing: Thing, documents: readonly (string | Buffer)[]): Promise<Told[]> {
  const path = endpoint.path.replace(/:(\w+)/g, (_all, name: string) => encodeURIComponent(thing[name] ?? ''));
  const told: Told[] = [];
  for (let from = 0; from < documents.length; from += AT_ONCE) {
    const answers = documents.slice(from, from + AT_ONCE).map(async (raw) => ({
      document: short(raw),
      status: (await stage.api('admin').call(endpoint.method, path, { raw })).status,
    }));
    told.push(...(await Promise.all(answers)));
  }
  return told;
}

type Path = (string | number)[];

/** Where in a good body a value stands: its fields, and those of what is in them. */
function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]): Path[] => [[...at, name], ...pathsOf(child, [...at, name])]);
}

/** The body as text, with the document where the path leads. */
function planted(body: unknown, path: Path, document: string): string {
  const mark = '"the document stands here"';
  const copy = structuredClone(body ?? {}) as Record<string, unknown>;
  let inner: Record<string, unknown> = copy;
  for (const name of path.slice(0, -1)) inner = (inner[String(name)] ??= {}) as Record<string, unknown>;
  inner[String(path.at(-1))] = JSON.parse(mark);
  return JSON.stringify(copy).replace(mark, () => document);
}
