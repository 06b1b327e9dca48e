import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { eventually } from './eventually';

// fauxqs speaks SQS and S3. It needs Node 22.5, which an npm package brings. Both are installed once, into a cache,
// since nothing but some tests needs their 230 MB.

const CACHE = join(__dirname, '..', '..', 'node_modules', '.cache', 'baton-fauxqs-2.4.1');
const NODE = `node-${process.platform}-${process.arch}`;
const PACKAGES = ['fauxqs@2.4.1', `${NODE}@22.23.3`];

/** What the AWS SDK needs, in programs of a test. */
export const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'a-secret' };

/** A server of SQS and S3 that keeps its state through kills. */
export class Fauxqs {
  readonly sqs: SQSClient;
  private child: ChildProcess | null = null;

  private constructor(
    readonly port: number,
    private readonly folder: string,
  ) {
    this.sqs = new SQSClient({
      ...{ endpoint: this.url, region: 'us-east-1' },
      credentials: { accessKeyId: CREDENTIALS.AWS_ACCESS_KEY_ID, secretAccessKey: CREDENTIALS.AWS_SECRET_ACCESS_KEY },
    });
  }

  static async open(): Promise<Fauxqs> {
    install();
    const server = new Fauxqs(await freePort(), mkdtempSync(join(tmpdir(), 'baton-fauxqs-')));
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const env = {
      ...{ PATH: process.env['PATH'] ?? '', FAUXQS_PORT: String(this.port), FAUXQS_LOGGER: 'false' },
      ...{ FAUXQS_DATA_DIR: this.folder, FAUXQS_PERSISTENCE: 'true' },
    };
    // The command keeps nothing on the disk; the server does.
    const program = join(CACHE, 'node_modules', 'fauxqs', 'dist', 'server.js');
    this.child = spawn(join(CACHE, 'node_modules', NODE, 'bin', 'node'), [program], { env, stdio: 'ignore' });
    const isUp = () =>
      fetch(`${this.url}/health`).then(
        ({ ok }) => ok,
        () => false,
      );
    await eventually(isUp, Boolean, 20_000);
  }

  /** As a crash would; what was acknowledged is there after the next start. */
  async kill(): Promise<void> {
    if (this.child === null || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }

  async stop(): Promise<void> {
    await this.kill();
    this.sqs.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Makes a queue, FIFO if its name ends so, and returns its path, to be put behind any host. */
  async createQueue(name: string): Promise<string> {
    const fifo = name.endsWith('.fifo') ? { Attributes: { FifoQueue: 'true' } } : {};
    await this.sqs.send(new CreateQueueCommand({ QueueName: name, ...fifo }));
    return `/000000000000/${name}`;
  }

  /** Messages that are there, in hand or not. */
  async count(path: string): Promise<number> {
    const names = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
    const { Attributes = {} } = await this.sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: this.url + path, AttributeNames: [...names] }),
    );
    return names.reduce((sum, name) => sum + Number(Attributes[name] ?? 0), 0);
  }

  /** Takes all messages that are visible, and keeps them hidden for an hour. */
  async take(path: string): Promise<Message[]> {
    const taken: Message[] = [];
    for (;;) {
      const { Messages = [] } = await this.sqs.send(
        new ReceiveMessageCommand({
          ...{ QueueUrl: this.url + path, MaxNumberOfMessages: 10, VisibilityTimeout: 3600 },
          ...{ MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'] },
        }),
      );
      if (Messages.length === 0) return taken;
      taken.push(...Messages);
    }
  }
}

/** Installed beside and then renamed, so that two test files do not see it half there. */
function install(): void {
  if (existsSync(CACHE)) return;
  const folder = `${CACHE}.${process.pid}`;
  mkdirSync(folder, { recursive: true });
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--engine-strict=false', '--loglevel=error'];
  execFileSync('npm', ['install', '--prefix', folder, ...options, ...PACKAGES], { stdio: 'pipe' });
  try {
    renameSync(folder, CACHE);
  } catch (error) {
    if (!existsSync(CACHE)) throw error;
    rmSync(folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
