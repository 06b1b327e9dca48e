import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { faultsOf, filled, type Kept } from './match';

export interface Turn {
  on: 'claim' | 'heartbeat' | 'report';
  /** Headers that, if they are sent, have these values. */
  headers?: Record<string, string>;
  sends: unknown;
  answers: 'nothing' | { status: number; body: unknown; headers?: Record<string, string> };
}

interface Entry {
  jobId: string;
}
interface Body {
  jobs?: Entry[];
  completions?: Entry[];
  waitMs?: number;
}
interface Said {
  on: Turn['on'];
  sent: unknown;
  /** The answer to a call about many jobs: the one answer, in its list. */
  wrap: (status: number, body: object) => { status: number; body: object };
}

const EMPTY_POLL_MS = 100;
/** Refused for who called, or how often. */
const OF_THE_CALL = new Set([401, 403, 429]);

/**
 * A coordinator that answers the calls of one case, each kind in its order, and whatever comes beside as if nothing
 * were to be done. Calls about one job and calls about many are the same to it.
 */
export class ScriptedCoordinator {
  readonly faults: string[] = [];
  /** Reports that no turn was left for. */
  unexpectedReports = 0;
  private readonly server: Server;
  private readonly left: Turn[];

  constructor(
    turns: readonly Turn[],
    private readonly kept: Kept,
  ) {
    this.left = [...turns];
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** What has not been called yet. */
  get missing(): string[] {
    return this.left.map(({ on }) => on);
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = (text === '' ? {} : JSON.parse(text)) as Body;
    const said = kindOf(request.url ?? '', body);
    // The first turn that is left is the only one that may come next: others of its kind wait for theirs.
    const [turn] = this.left;
    if (said === null || turn?.on !== said.on) return this.idle(said, body, response);
    this.left.shift();
    this.faults.push(...faultsOf(said.sent, turn.sends, this.kept).map((fault) => `${turn.on}: ${fault}`));
    for (const [name, wanted] of Object.entries(turn.headers ?? {})) {
      const sent = request.headers[name];
      if (sent !== undefined && sent !== wanted)
        this.faults.push(`${turn.on}: ${name} is ${String(sent)}, not ${wanted}`);
    }
    if (turn.answers === 'nothing') response.destroy();
    else {
      const wrapped = said.wrap(turn.answers.status, filled(turn.answers.body, this.kept) as object);
      send(response, wrapped.status, wrapped.body, turn.answers.headers);
    }
  }

  private idle(said: Said | null, body: Body, response: ServerResponse): void {
    if (said?.on === 'report') this.unexpectedReports += 1;
    const nothing = { jobs: [], results: [], directives: {}, check: [] };
    if (said?.on === 'claim' || (said === null && (body.waitMs ?? 0) > 0))
      setTimeout(() => send(response, 200, nothing), EMPTY_POLL_MS).unref();
    else if (said?.on === 'heartbeat') {
      const { status, body: kept } = said.wrap(200, { leaseExpiresAt: new Date().toISOString(), directives: {} });
      send(response, status, kept);
    } else send(response, 200, nothing);
  }
}

function kindOf(path: string, body: Body): Said | null {
  const one = (status: number, answer: object) => ({ status, body: answer });
  if (path === '/jobs/claim') return { on: 'claim', sent: body, wrap: one };
  if (/^\/jobs\/[^/]+\/heartbeat$/.test(path)) return { on: 'heartbeat', sent: body, wrap: one };
  if (/^\/jobs\/[^/]+\/complete$/.test(path)) return { on: 'report', sent: body, wrap: one };
  const [beat] = body.jobs ?? [];
  if (path === '/jobs/heartbeat' && beat !== undefined)
    return { on: 'heartbeat', sent: beat, wrap: inList('jobs', beat.jobId) };
  const [report] = body.completions ?? [];
  if (path === '/jobs/complete' && report !== undefined)
    return { on: 'report', sent: report, wrap: inList('results', report.jobId) };
  return null;
}

/** Of a call about many, what concerns one job is an entry; what concerns the call is its answer. */
function inList(list: string, jobId: string): Said['wrap'] {
  return (status, body) => {
    if (status >= 500 || OF_THE_CALL.has(status)) return { status, body };
    const entries = [{ jobId, ...body }];
    return { status: 200, body: { jobs: [], [list]: entries, directives: {} } };
  };
}

function send(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
