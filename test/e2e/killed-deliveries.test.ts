import { Receiver, type Received, verify } from '../support/receiver';
import { ADMIN_KEY, type Coordinator } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { AT_ONCE } from './support/work';

const JOBS = 150;
const KILLS = 4;
const CUSTOMERS = 12;
/** Long enough that a kill always finds deliveries under way. */
const ANSWERS_AFTER_MS = 60;

let stage: Stage;
let receiver: Receiver;

beforeEach(async () => {
  stage = await Stage.open('killed deliveries');
  receiver = await Receiver.open((response) => void setTimeout(() => response.writeHead(204).end(), ANSWERS_AFTER_MS));
});

afterEach(async () => {
  await stage.close();
  await receiver.close();
});

it('tells of the end of every job, by webhook and by callback, though coordinators are killed while they tell', async () => {
  const { random } = stage;
  const env = { BATON_WEBHOOK_ALLOW: '127.0.0.1' };
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name, env })));
  const urls = coordinators.map(({ url }) => url);
  await stage.runner({ name: 'anna', urls });
  const secrets = {
    webhook: await call<{ secret: string }>('POST', '/webhooks', {
      url: receiver.url('/webhook'),
      events: ['job.completed'],
    }),
    callback: await call<{ secret: string }>('GET', '/callback-secret'),
  };
  const load = stage.load(urls);
  const isEnough = () => load.acknowledged >= JOBS && stage.faults['kills'] === KILLS;
  const serving = load.serve(
    CUSTOMERS,
    () => ({ ms: [random.between(5, 40)], options: { retry: AT_ONCE, callbackUrl: receiver.url('/callback') } }),
    isEnough,
  );

  for (let kills = 0; kills < KILLS; kills += 1) {
    const before = receiver.received.length;
    await until('it is told of some', () => receiver.received.length > before + 10 && receiver.open > 0);
    const victim = coordinators[kills % 2] as Coordinator;
    await victim.kill();
    stage.bite('kills');
    // Its leases run out, though no time passed.
    await stage.witness.query(
      "UPDATE webhook_deliveries SET next_at = now() WHERE status = 'pending' AND lease_token IS NOT NULL",
    );
    coordinators[kills % 2] = await stage.restartCoordinator(victim);
  }
  await serving;
  await stage.settled();
  const waiting = async () =>
    (
      await stage.witness.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM webhook_deliveries WHERE status = 'pending'",
      )
    )[0]?.count;
  const completed = new Set(
    (await stage.witness.jobs()).filter(({ status }) => status === 'completed').map(({ id }) => id),
  );
  await until(
    'every end is told',
    async () =>
      toldBy('/webhook').size >= completed.size &&
      toldBy('/callback').size >= completed.size &&
      (await waiting()) === 0,
  );

  for (const path of ['/webhook', '/callback'] as const) {
    const told = toldBy(path);
    expect([...told.keys()].sort()).toEqual([...completed].sort());
    // However often it was sent, a receiver that remembers ids takes it once.
    for (const [jobId, all] of told)
      expect([jobId, new Set(all.map(({ headers }) => headers['webhook-id'])).size]).toEqual([jobId, 1]);
    for (const received of [...told.values()].flat())
      verify(received, secrets[path === '/webhook' ? 'webhook' : 'callback'].secret);
  }
  const [again] = await stage.witness.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM webhook_deliveries WHERE attempts > 1',
  );
  stage.bite('cutOff', again?.count ?? 0);
  await stage.judge({ kills: KILLS, cutOff: 1, completed: JOBS });

  async function call<Body>(method: string, path: string, json?: object): Promise<Body> {
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const answer = await fetch(`${urls[0]}${path}`, {
      method,
      headers,
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    return (await answer.json()) as Body;
  }
});

/** What came to a path, by job. */
function toldBy(path: string): Map<string, Received[]> {
  const told = new Map<string, Received[]>();
  for (const one of receiver.received.filter((received) => received.path === path)) {
    const jobId = String(one.body.data['jobId']);
    told.set(jobId, [...(told.get(jobId) ?? []), one]);
  }
  return told;
}
