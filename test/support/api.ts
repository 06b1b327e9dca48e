import type { IncomingHttpHeaders } from 'node:http';
import type {
  Attempt,
  ClaimedJob,
  ClaimInput,
  ClaimReply,
  CompleteReply,
  CreateApiKey,
  CreatedApiKey,
  CreateJob,
  Job,
  Problem,
} from '@baton/runner-sdk/protocol';
import { type Agent, type Dispatcher, request } from 'undici';
import type { Contract } from './contract';

export interface Answer<Body = unknown> {
  status: number;
  headers: IncomingHttpHeaders;
  body: Body;
}

export interface Sent {
  json?: unknown;
  /** Sent as it is, with `type` as its content type. */
  raw?: string | Buffer;
  type?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const CLIENT_TIMEOUT_MS = 20_000;

/**
 * Speaks HTTP to one coordinator with one key (none: without credentials), and fails on answers that are not as
 * documented.
 */
export class Api {
  constructor(
    readonly url: string,
    private readonly key: string | null,
    private readonly agent: Agent,
    private readonly contract: Contract,
  ) {}

  /** The same coordinator, asked with another key. */
  as(key: string | null): Api {
    return new Api(this.url, key, this.agent, this.contract);
  }

  async call<Body = unknown>(
    method: string,
    path: string,
    { json, raw, type, headers, signal }: Sent = {},
  ): Promise<Answer<Body>> {
    const body = raw ?? (json === undefined ? undefined : JSON.stringify(json));
    const answer = await request(`${this.url}${path}`, {
      method: method.toUpperCase() as 'GET',
      dispatcher: this.agent,
      headersTimeout: CLIENT_TIMEOUT_MS * 3,
      headers: {
        ...(this.key === null ? {} : { authorization: `Bearer ${this.key}` }),
        ...(body === undefined ? {} : { 'content-type': type ?? 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      // undici listens to what it is given once a call; many calls with one signal would look like a leak to Node.
      ...(signal === undefined ? {} : { signal: AbortSignal.any([signal]) }),
    });
    const told = { status: answer.statusCode, headers: answer.headers, body: (await read(answer)) as Body };
    this.contract.requireKept();
    return told;
  }

  get<Body = unknown>(path: string): Promise<Answer<Body>> {
    return this.call<Body>('get', path);
  }

  post<Body = unknown>(path: string, json?: unknown, sent: Sent = {}): Promise<Answer<Body>> {
    return this.call<Body>('post', path, { ...sent, ...(json === undefined ? {} : { json }) });
  }

  patch<Body = unknown>(path: string, json: unknown): Promise<Answer<Body>> {
    return this.call<Body>('patch', path, { json });
  }

  delete<Body = unknown>(path: string): Promise<Answer<Body>> {
    return this.call<Body>('delete', path);
  }

  /** A problem's status and code, which is what most refusals are about. */
  async refusal(method: string, path: string, json?: unknown): Promise<[number, string]> {
    const { status, body } = await this.call<Problem>(method, path, json === undefined ? {} : { json });
    return [status, body.code];
  }

  async create(job: CreateJob): Promise<Job> {
    return expectStatus(await this.post<Job>('/jobs', job), 201);
  }

  async job(id: string): Promise<Job> {
    return expectStatus(await this.get<Job>(`/jobs/${id}`), 200);
  }

  /** A job without what is reckoned anew at each reading. */
  async stored(id: string): Promise<Omit<Job, 'estimate'>> {
    return storedOf(await this.job(id));
  }

  async attempts(id: string): Promise<Attempt[]> {
    return expectStatus(await this.get<{ items: Attempt[] }>(`/jobs/${id}/attempts`), 200).items;
  }

  async claim(claim: ClaimInput, sent: Sent = {}): Promise<ClaimedJob[]> {
    return expectStatus(await this.post<ClaimReply>('/jobs/claim', claim, sent), 200).jobs;
  }

  async claimOne(claim: ClaimInput): Promise<ClaimedJob> {
    const [job] = await this.claim(claim);
    if (job === undefined) throw new Error(`nothing was claimed for ${JSON.stringify(claim)}`);
    return job;
  }

  complete(
    { id, leaseToken }: Pick<ClaimedJob, 'id' | 'leaseToken'>,
    report: object = { outcome: 'completed' },
  ): Promise<Answer<Partial<Omit<CompleteReply, 'status'> & Omit<Problem, 'status'>> & { status: string | number }>> {
    return this.post(`/jobs/${id}/complete`, { leaseToken, ...report });
  }

  async makeKey(wanted: CreateApiKey): Promise<string> {
    return expectStatus(await this.post<CreatedApiKey>('/api-keys', wanted), 201).key;
  }
}

export function storedOf({ estimate: _estimate, ...stored }: Job): Omit<Job, 'estimate'> {
  return stored;
}

export function expectStatus<Body>(answer: Answer<Body>, status: number): Body {
  if (answer.status !== status)
    throw new Error(`answered ${answer.status}, not ${status}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** JSON as a value, other text as it is; of a stream of events, which does not end, nothing. */
async function read({ headers, body }: Dispatcher.ResponseData): Promise<unknown> {
  const type = String(headers['content-type']);
  if (type.startsWith('text/event-stream')) {
    body.on('error', () => undefined).destroy();
    return null;
  }
  const text = await body.text();
  return /json/.test(type) && text !== '' ? JSON.parse(text) : text === '' ? null : text;
}
