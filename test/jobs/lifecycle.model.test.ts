import fc from 'fast-check';
import { TRANSITIONS } from '../../coordinator/domain/jobs/transitions';
import { startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import type { TestSql } from '../support/sql';
import { requireEqualHistory } from './lifecycle-check';
import { COMMANDS, type Real } from './lifecycle-commands';
import { ALL_EDGES, type Model } from './lifecycle-model';
import { storm } from './lifecycle-storm';

const RUNS = 250;
const COMMANDS_PER_RUN = 40;

let cluster: Awaited<ReturnType<typeof startCluster>>;
let coordinator: TestCoordinator & { sql: TestSql };
const seed = Math.floor(Math.random() * 2 ** 31);

beforeAll(async () => {
  process.stdout.write(`seed of the lifecycle model: ${seed}\n`);
  cluster = await startCluster(2);
  const [first] = cluster.coordinators;
  if (first === undefined) throw new Error('no coordinator');
  coordinator = { ...first, sql: cluster.sql };
  await recordTransitions(cluster.sql);
});
afterAll(() => cluster.stop());

test('random verbs: rows and history are as a model says, and every edge of the table is taken', async () => {
  const edges = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.commands(COMMANDS, { maxCommands: COMMANDS_PER_RUN, size: 'max' }), async (commands) => {
      const model: Model = { type: uniqueType('model'), jobs: [], gates: [], batches: [] };
      await fc.asyncModelRun(() => ({ model, real: { coordinator, edges } satisfies Real }), commands);
      await requireEqualHistory(model, coordinator.api);
    }),
    // Fifteen seconds on a quiet machine; more than two minutes were seen on one that was busy with others' work.
    { numRuns: RUNS, seed, interruptAfterTimeLimit: 300_000, markInterruptAsFailure: true },
  );
  edges.add(await retriedBehindRetried());
  expect([...edges].sort()).toEqual([...ALL_EDGES].sort());
  await requireOnlyTableEdges();
}, 330_000);

/** The edge that random verbs take so seldom that some runs miss it: parent and child failed, and both are retried. */
async function retriedBehindRetried(): Promise<string> {
  const { api } = coordinator;
  const fail = async (type: string): Promise<void> => {
    const claimed = await eventually(
      () => api.claim({ runnerId: 'r', types: [type] }),
      (jobs) => jobs.length > 0,
    );
    const [job] = claimed;
    if (job === undefined) throw new Error(`no job of type ${type}`);
    await api.complete(job, { outcome: 'failed', error: { message: 'no', retryable: false } });
  };
  const parent = await api.create({ type: uniqueType('parent') });
  const child = await api.create({ type: uniqueType('child'), dependsOn: [parent.id], onDependencyFailure: 'run' });
  await fail(parent.type);
  await fail(child.type);
  await api.post(`/jobs/${parent.id}/retry`);
  const { body } = await api.post<{ status: string }>(`/jobs/${child.id}/retry`);
  return `retry: failed -> ${body.status}`;
}

test('verbs from two coordinators at once take no edge that is not in the table', async () => {
  await storm(cluster, seed);
  await requireOnlyTableEdges();
}, 60_000);

/** Writes down each change of status, whoever makes it. */
async function recordTransitions(sql: TestSql): Promise<void> {
  await sql.query('CREATE TABLE transitions (job_id uuid, old text, new text)');
  await sql.query(`
    CREATE FUNCTION record_transition() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO transitions VALUES (COALESCE(NEW.id, OLD.id), OLD.status, NEW.status);
      RETURN NULL;
    END $$`);
  await sql.query(
    'CREATE TRIGGER record AFTER INSERT OR UPDATE OF status OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION record_transition()',
  );
}

async function requireOnlyTableEdges(): Promise<void> {
  const seen = await cluster.sql.query<{ old: string | null; new: string | null }>(
    'SELECT DISTINCT old, new FROM transitions',
  );
  const allowed = TRANSITIONS.map(({ from, to }) => `${from} -> ${to}`);
  expect(seen.length).toBeGreaterThan(5);
  expect(seen.map((row) => `${row.old} -> ${row.new}`).filter((edge) => !allowed.includes(edge))).toEqual([]);
}
