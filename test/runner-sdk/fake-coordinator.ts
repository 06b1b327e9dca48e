/* eslint-disable @typescript-eslint/no-explicit-any -- it reads what any caller sent, and tests look into it */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClaimedJob, ClaimInput, CompletionsInput, HeartbeatsInput, Job } from '@baton/runner-sdk/protocol';
import type { Logger } from '@baton/runner-sdk';

export interface Recorded {
  call: string;
  text: string;
  body: any;
  headers: IncomingMessage['headers'];
}

/** `drop_request`: the call never arrives; `drop_reply`: it takes effect, but nobody hears; `hang`: no answer ever. */
export type Answer =
  | 'drop_request'
  | 'drop_reply'
  | 'hang'
  | 'pass'
  | { status: number; body?: unknown; headers?: Record<string, string> };

const DEADLINE_MS = 15_000;

/** A coordinator in memory: it does the least of the protocol, records every call, and fails as it is told to. */
export class FakeCoordinator {
  readonly requests: Recorded[] = [];
  readonly pending: ClaimedJob[] = [];
  readonly released: { jobId: string; body: any }[] = [];
  readonly completed = new Map<string, any>();
  directives: Record<string, unknown> = {};
  /** What a heartbeat says of a job instead of a new lease. */
  readonly verdicts = new Map<string, string>();
  /** What a completion says of a job, once. */
  readonly completionVerdicts = new Map<string, string>();
  /** What it answers to the report on a job, beside the usual. */
  readonly completionReplies = new Map<string, object>();
  /** Calls of reports that hold one of these texts are answered with its status and no problem text. */
  readonly stumblesOver = new Map<string, number>();
  private readonly granted = new Map<string, ClaimedJob[]>();
  private readonly scripts = new Map<string, Answer[]>();
  private readonly events = new EventEmitter().setMaxListeners(0);
  private readonly server = createServer((request, response) => void this.receive(request, response));
  private ids = 0;

  static async start(): Promise<FakeCoordinator> {
    const coordinator = new FakeCoordinator();
    await new Promise<void>((resolve) => coordinator.server.listen(0, '127.0.0.1', resolve));
    return coordinator;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }

  /** The next answers to this call, such as `POST /jobs/claim`; after them it behaves. */
  script(call: string, ...answers: Answer[]): void {
    this.scripts.set(call, [...(this.scripts.get(call) ?? []), ...answers]);
  }

  add(fields: Partial<ClaimedJob> = {}): ClaimedJob {
    const job: ClaimedJob = {
      ...{
        id: randomUUID(),
        type: 'TEST',
        queue: 'default',
        arguments: {},
        attempt: 1,
        maxAttempts: 3,
        leaseToken: randomUUID(),
      },
      ...{
        leaseExpiresAt: new Date().toISOString(),
        leaseMs: 30_000,
        deadlineAt: new Date().toISOString(),
        timeoutMs: 60_000,
      },
      ...{ metadata: null, tags: [], userId: null, dependencies: {}, checkpoint: null, traceparent: null },
      ...{ workflowId: null, ...fields },
    };
    this.pending.push(job);
    this.events.emit('change');
    return job;
  }

  calls(call: string): Recorded[] {
    return this.requests.filter((request) => request.call === call);
  }

  /** Resolves once `found` returns something; it is asked after every event here. */
  async until<T>(what: string, found: () => T | undefined | false | null): Promise<T> {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const value = found();
      if (value !== undefined && value !== false && value !== null) return value;
      if (deadline.aborted)
        throw new Error(
          `${what} did not happen within ${DEADLINE_MS} ms; calls: ${this.requests.map(({ call }) => call).join(', ')}`,
        );
      await once(this.events, 'change', { signal: deadline }).catch(() => undefined);
    }
  }

  /** The report on this job, once it is there. */
  report(job: ClaimedJob): Promise<any> {
    return this.until(`the report on job ${job.id}`, () => this.completed.get(job.id));
  }

  /** What calls said beside the report: an update that is due goes out with a heartbeat before the report. */
  updates(job: ClaimedJob): { checkpoint: unknown; logs: any[] } {
    const said = this.requests.flatMap(({ call, body }) => {
      if (call.startsWith(`POST /jobs/${job.id}/`)) return [body];
      return [...(body?.jobs ?? []), ...(body?.completions ?? [])].filter((entry: any) => entry.jobId === job.id);
    });
    return {
      checkpoint: said.findLast((entry) => entry.checkpoint !== undefined)?.checkpoint,
      logs: said.flatMap((entry) => entry.logs ?? []),
    };
  }

  /** To be called by tests whose condition is not a call. */
  poke(): void {
    this.events.emit('change');
  }

  private async receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { pathname } = new URL(request.url ?? '/', 'http://fake');
    const call = `${request.method} ${pathname}`;
    const body = text === '' ? undefined : JSON.parse(text);
    const [, status] =
      [...this.stumblesOver].find(([part]) => call === 'POST /jobs/complete' && text.includes(part)) ?? [];
    const answer = status !== undefined ? { status } : (this.scripts.get(call)?.shift() ?? 'pass');
    this.requests.push({ call, text, body, headers: request.headers });
    this.events.emit('change');
    if (answer === 'hang') return;
    if (answer === 'drop_request') return void response.destroy();
    const reply = typeof answer === 'object' ? answer : { status: 200, body: await this.answer(call, body, response) };
    if (answer === 'drop_reply') response.destroy();
    else
      response
        .writeHead(reply.status, { 'content-type': 'application/json', ...('headers' in reply ? reply.headers : {}) })
        .end(JSON.stringify(reply.body ?? {}));
    this.events.emit('change');
  }

  private async answer(call: string, body: any, response: ServerResponse): Promise<unknown> {
    if (call === 'POST /jobs/claim') return { jobs: await this.claim(body, response), directives: this.directives };
    if (call === 'POST /jobs/complete') return this.complete(body);
    if (call === 'POST /jobs/heartbeat') return this.heartbeat(body);
    if (call.endsWith('/release')) return this.release(call, body);
    if (call.endsWith('/heartbeat')) return { leaseExpiresAt: new Date().toISOString(), directives: this.directives };
    if (call === 'POST /jobs') return this.created(body);
    if (call === 'POST /jobs/bulk') return { jobs: body.jobs.map((job: any) => this.created(job)) };
    return {};
  }

  private async claim(body: ClaimInput, response: ServerResponse): Promise<ClaimedJob[]> {
    const known = this.granted.get(body.claimId ?? '');
    if (known !== undefined) return known;
    const over = AbortSignal.timeout(body.waitMs ?? 0);
    while (this.pending.length === 0 && !over.aborted && (body.waitMs ?? 0) > 0 && !response.destroyed) {
      await new Promise<void>((resolve) => {
        this.events.once('change', resolve);
        over.addEventListener('abort', () => resolve(), { once: true });
        response.once('close', resolve);
      });
    }
    return response.destroyed ? [] : this.grant(body);
  }

  private grant(body: ClaimInput): ClaimedJob[] {
    const jobs = this.pending.splice(0, body.max);
    if (jobs.length > 0 && body.claimId !== undefined) this.granted.set(body.claimId, jobs);
    return jobs;
  }

  private complete(body: CompletionsInput): unknown {
    const results = body.completions.map((completion) => {
      const code = this.completionVerdicts.get(completion.jobId);
      this.completionVerdicts.delete(completion.jobId);
      if (code !== undefined) return { jobId: completion.jobId, code, detail: `scripted ${code}` };
      this.completed.set(completion.jobId, completion);
      return {
        ...{ jobId: completion.jobId, status: completion.outcome, attempt: 1 },
        ...this.completionReplies.get(completion.jobId),
      };
    });
    // A report alone does not say whose it is, so there is nothing to direct.
    return {
      results,
      ...(body.claim && { jobs: this.granted.get(body.claim.claimId ?? '') ?? this.grant(body.claim) }),
      directives: body.claim ? this.directives : {},
    };
  }

  private release(call: string, body: any): unknown {
    this.released.push({ jobId: call.split('/')[2] ?? '', body });
    return { status: 'pending', attempt: 1, runAt: new Date().toISOString() };
  }

  private heartbeat(body: HeartbeatsInput): unknown {
    const jobs = body.jobs.map(({ jobId }) => {
      const code = this.verdicts.get(jobId);
      return code === undefined ? { jobId, leaseExpiresAt: new Date().toISOString() } : { jobId, code };
    });
    return { jobs, directives: this.directives };
  }

  private created(body: any): Partial<Job> | { code: string; detail: string } {
    if (body.arguments?.refuse) return { code: 'validation_failed', detail: 'scripted refusal' };
    return { id: `job-${(this.ids += 1)}`, type: body.type, status: 'pending', arguments: body.arguments };
  }
}

export interface TestLogger extends Logger {
  lines: { level: string; message: string; fields: Record<string, unknown> }[];
}

export function testLogger(): TestLogger {
  const lines: TestLogger['lines'] = [];
  const write =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) =>
      void lines.push({ level, message, fields });
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

export interface Gate {
  opened: Promise<void>;
  open: () => void;
}

/** Something a test waits for and a handler lets happen, or the other way round. */
export function gate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}
