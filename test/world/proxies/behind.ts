import type { ClaimReply, Job } from '@baton/runner-sdk/protocol';
import { Agent, request } from 'undici';
import type { DebianProgram } from '../../../scripts/debian';
import { ADMIN_KEY, Coordinator, type Line } from '../../e2e/support/processes';
import { createTestDatabase, type TestDatabase } from '../../support/database';
import { AUTHORITY, Proxy, type ProxyKind } from './proxy';

/** What a draining coordinator goes on serving for. */
const DRAIN_MS = 5000;

interface Reply<Body> {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Body;
}

/** Two coordinators behind a proxy, and a client that knows only the proxy. */
export class Behind {
  readonly agent = new Agent({ connect: { ca: AUTHORITY }, headersTimeout: 90_000, bodyTimeout: 90_000 });

  private constructor(
    readonly proxy: Proxy,
    readonly coordinators: Coordinator[],
    private readonly database: TestDatabase,
    private readonly log: Line[],
  ) {}

  static async start(kind: ProxyKind, program: DebianProgram, waitS: number): Promise<Behind> {
    const database = await createTestDatabase();
    const log: Line[] = [];
    const coordinators = await Promise.all(
      ['left', 'right'].map((name) =>
        new Coordinator(
          {
            name,
            database: { url: database.url },
            env: { BATON_TRUST_PROXY: '1', BATON_DRAIN_MS: String(DRAIN_MS) },
          },
          log,
        ).listens(),
      ),
    );
    const ports = coordinators.map(({ port }) => port);
    try {
      return new Behind(await Proxy.start(kind, program, ports, waitS), coordinators, database, log);
    } catch (error) {
      await Promise.all(coordinators.map((coordinator) => coordinator.kill()));
      throw error;
    }
  }

  async call<Body>(method: 'GET' | 'POST', path: string, json?: unknown): Promise<Reply<Body>> {
    const { statusCode, headers, body } = await request(this.proxy.https + path, {
      method,
      dispatcher: this.agent,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await body.text();
    return { status: statusCode, headers, body: (text.startsWith('{') ? JSON.parse(text) : text) as Body };
  }

  async create(type: string): Promise<Job> {
    const { status, body } = await this.call<Job>('POST', '/jobs', { type });
    if (status !== 201) throw new Error(`a create was answered with ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  /** A claim that waits. */
  claim(type: string, waitMs: number): Promise<Reply<ClaimReply>> {
    return this.call<ClaimReply>('POST', '/jobs/claim', { runnerId: 'r', types: [type], waitMs });
  }

  /** The same again, on the same port. */
  async restart(nth: number): Promise<Coordinator> {
    const ended = this.nth(nth);
    const again = await new Coordinator({ ...ended.options, port: ended.port }, this.log).listens();
    this.coordinators[nth] = again;
    return again;
  }

  nth(nth: number): Coordinator {
    const coordinator = this.coordinators[nth];
    if (coordinator === undefined) throw new Error(`there is no coordinator ${nth}`);
    return coordinator;
  }

  async stop(): Promise<void> {
    await this.agent.destroy();
    await this.proxy.stop();
    await Promise.all(this.coordinators.filter((coordinator) => !coordinator.hasEnded).map((one) => one.kill()));
    await this.database.drop();
  }
}

/** How many calls a coordinator has answered, asked of itself. */
export async function callsOf(coordinator: Coordinator, path: string): Promise<number> {
  const answer = await fetch(`${coordinator.url}/metrics`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const lines = (await answer.text()).split('\n');
  return lines
    .filter((line) => line.startsWith('baton_http_request_seconds_count') && line.includes(`route="${path}"`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
