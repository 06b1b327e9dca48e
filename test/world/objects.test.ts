import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { Client, Runner } from '@baton/runner-sdk';
import { collectObjects } from '../../coordinator/domain/objects/collect';
import { AwsProxy } from '../support/aws-proxy';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { CREDENTIALS, Fauxqs } from '../support/fauxqs';

// Large arguments and results in a server of S3 that is killed, and whose answers are lost.

const COUNT = 20;
let s3: Fauxqs;
let proxy: AwsProxy;
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let bucket: S3Client;

beforeAll(async () => {
  s3 = await Fauxqs.open();
  proxy = new AwsProxy(s3.port);
  const credentials = {
    ...{ accessKeyId: CREDENTIALS.AWS_ACCESS_KEY_ID, secretAccessKey: CREDENTIALS.AWS_SECRET_ACCESS_KEY },
  };
  bucket = new S3Client({ endpoint: s3.url, region: 'us-east-1', forcePathStyle: true, credentials });
  await bucket.send(new CreateBucketCommand({ Bucket: 'jobs' }));
  const endpoint = await proxy.listen();
  coordinator = await startCoordinator({
    objects: {
      ...{ bucket: 'jobs', prefix: 'baton/', region: 'us-east-1', endpoint, signedMs: 60_000, maxBytes: 5_000_000 },
      ...credentials,
    },
  });
  await coordinator.app.loops.objects.stop();
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
});
afterAll(async () => {
  await client.close();
  await coordinator.stop();
  proxy.close();
  bucket.destroy();
  await s3.stop();
});

const stored = async (): Promise<number> =>
  (await bucket.send(new ListObjectsV2Command({ Bucket: 'jobs' }))).KeyCount ?? 0;

it('gives each job its arguments and its result, and leaves nothing behind', async () => {
  let calls = 0;
  proxy.fate = () => ((calls += 1) % 5 === 0 ? 'lose' : calls % 7 === 0 ? 'refuse' : 'pass');
  const runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
  runner.handle('stored', (args) => {
    const { text, n } = args as { text: string; n: number };
    return { text, twice: 2 * n };
  });
  await runner.start();
  const jobs: string[] = [];
  for (let n = 0; n < COUNT; n += 1) {
    const args = { n, text: String.fromCharCode(97 + n).repeat(300_000) };
    jobs.push((await client.create('stored', args, { retry: { strategy: 'fixed', baseMs: 100 } })).id);
    if (n === 8) await s3.kill();
    if (n === 8) await s3.start();
  }
  for (const [n, id] of jobs.entries()) {
    const { text, twice } = (await client.wait(id)) as { text: string; twice: number };
    expect([n, text.length, text[0], twice]).toEqual([n, 300_000, String.fromCharCode(97 + n), 2 * n]);
  }
  await runner.stop();
  // What was sent twice, as its answer was lost, is there as well, until nothing names it.
  expect(await stored()).toBeGreaterThanOrEqual(2 * COUNT);
  for (const id of jobs) await client.delete(id);
  await coordinator.sql.query("UPDATE objects SET used_at = now() - interval '2 hours'");
  await coordinator.sql.query("UPDATE object_uses SET checked_at = now() - interval '2 hours'");
  await eventually(
    async () => {
      await coordinator.sql.query(
        "UPDATE objects SET deleting_at = now() - interval '10 minutes' WHERE deleting_at IS NOT NULL",
      );
      await collectObjects(coordinator.app.context);
      return stored();
    },
    (count) => count === 0,
    30_000,
  );
  expect(await coordinator.sql.count('objects')).toBe(0);
});
