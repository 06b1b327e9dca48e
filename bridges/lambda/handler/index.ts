import { randomUUID } from 'node:crypto';
import { type CallbackEvent, runForCallback } from './callback';
import { Calls } from './calls';
import { type Claimed, type Ended, type LambdaJobHandler, runJob } from './job';
import { isGenuine } from './signature';

export { RefusedCall, UnreachableError } from './calls';
export type { LambdaJob, LambdaJobHandler } from './job';

export interface LambdaHandlerOptions {
  coordinatorUrl: string;
  /** A key of role `runner`. */
  apiKey: string;
  /** Handlers by job type. */
  handlers: Record<string, LambdaJobHandler>;
  /** Only jobs of these queues. */
  queues?: string[];
  /** Without it every HTTP request is a trigger; with it only webhooks that it signed. `whsec_…` */
  webhookSecret?: string;
  /** How long a job is kept without a heartbeat; default 30,000. */
  leaseMs?: number;
  /** No job is begun with less time than this; default 10,000. */
  leastMs?: number;
}

/** What the wrapper needs of Lambda's context. */
export interface LambdaContext {
  functionName?: string;
  getRemainingTimeInMillis(): number;
}

export interface LambdaSummary {
  completed: number;
  failed: number;
  released: number;
  lost: number;
}

interface SqsRecord {
  messageId: string;
  messageAttributes?: Record<string, { stringValue?: string }>;
}
interface HttpEvent {
  headers?: Record<string, string | undefined>;
  body?: string | null;
  isBase64Encoded?: boolean;
}
type LambdaEvent =
  CallbackEvent | { Records: (SqsRecord & { eventSource?: string })[] } | (HttpEvent & { requestContext: object });

const CLAIM_MS = 10_000;
/** One for each environment that Lambda keeps warm. */
const environment = randomUUID().slice(0, 8);

/**
 * A handler for AWS Lambda that takes jobs when it is triggered, without polling: claims, extends the lease while the
 * handler runs, and reports before it returns. Triggers are messages of SQS (a job for each, answered with
 * `batchItemFailures`), HTTP requests and schedules (all jobs that there are, as far as the time goes), and events of
 * the bridge in mode `callback`.
 */
export function lambdaHandler(
  options: LambdaHandlerOptions,
): (event: unknown, context: LambdaContext) => Promise<unknown> {
  const wrapper = new Wrapper(options);
  return (event, context) => wrapper.handle(event as LambdaEvent, context);
}

class Wrapper {
  private readonly calls: Calls;
  private readonly handlers: Map<string, LambdaJobHandler>;
  private readonly leastMs: number;

  constructor(private readonly options: LambdaHandlerOptions) {
    this.calls = new Calls(options);
    this.handlers = new Map(Object.entries(options.handlers));
    this.leastMs = options.leastMs ?? 10_000;
    if (this.handlers.size === 0) throw new Error('handlers must have a handler for at least one job type');
  }

  async handle(event: LambdaEvent, context: LambdaContext): Promise<unknown> {
    const asked = (event ?? {}) as Partial<CallbackEvent & { Records: SqsRecord[]; requestContext: object }>;
    if (asked.baton?.callbackUrl !== undefined) return this.callBack(asked as CallbackEvent, context);
    if (Array.isArray(asked.Records)) return this.forMessages(asked.Records, context);
    if (asked.requestContext !== undefined) return this.forRequest(event as HttpEvent, context);
    return this.drain(context);
  }

  private async callBack(event: CallbackEvent, context: LambdaContext): Promise<void> {
    const handler = this.handlers.get(event.baton.type);
    if (handler === undefined) throw new Error(`there is no handler for ${event.baton.type}`);
    await runForCallback(event, handler, () => context.getRemainingTimeInMillis());
  }

  /**
   * A job for each message, side by side. A message comes again when the coordinator could not be reached, or when
   * there was no time; not when a job failed, since the job itself is tried again.
   */
  private async forMessages(records: SqsRecord[], context: LambdaContext): Promise<unknown> {
    const ended = await Promise.allSettled(
      records.map(async ({ messageAttributes }) => {
        const type = messageAttributes?.['BatonJobType']?.stringValue;
        if (type !== undefined && !this.handlers.has(type)) return;
        if (context.getRemainingTimeInMillis() < this.leastMs) throw new Error('there was no time');
        const claimed = await this.claim(type === undefined ? [...this.handlers.keys()] : [type], context);
        if (claimed !== undefined) await this.run(claimed, context);
      }),
    );
    const failures = records.filter((_record, index) => ended[index]?.status === 'rejected');
    return { batchItemFailures: failures.map(({ messageId }) => ({ itemIdentifier: messageId })) };
  }

  private async forRequest({ headers = {}, body, isBase64Encoded }: HttpEvent, context: LambdaContext) {
    const { webhookSecret } = this.options;
    const text = isBase64Encoded === true ? Buffer.from(body ?? '', 'base64').toString('utf8') : (body ?? '');
    const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value ?? ''] as const);
    if (webhookSecret !== undefined && !isGenuine(webhookSecret, new Map(lower), text))
      return { statusCode: 401, body: 'not signed by the coordinator' };
    try {
      return { statusCode: 200, body: JSON.stringify(await this.drain(context)) };
    } catch (error) {
      return { statusCode: 503, body: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Runs jobs one after the other until there is none, or no time. */
  private async drain(context: LambdaContext): Promise<LambdaSummary> {
    const summary: LambdaSummary = { completed: 0, failed: 0, released: 0, lost: 0 };
    while (context.getRemainingTimeInMillis() >= this.leastMs) {
      const claimed = await this.claim([...this.handlers.keys()], context);
      if (claimed === undefined) break;
      summary[await this.run(claimed, context)] += 1;
    }
    return summary;
  }

  /** If the answer is lost, the same claim again returns the same job. */
  private async claim(types: string[], context: LambdaContext): Promise<Claimed | undefined> {
    const { queues, leaseMs = 30_000 } = this.options;
    const runnerId = `${context.functionName ?? 'lambda'}-${environment}`;
    const body = { runnerId, claimId: randomUUID(), types, max: 1, leaseMs, ...(queues !== undefined && { queues }) };
    const budgetMs = Math.min(CLAIM_MS, context.getRemainingTimeInMillis() / 2);
    const { jobs } = await this.calls.post<{ jobs: Claimed[] }>('/jobs/claim', body, budgetMs);
    return jobs[0];
  }

  private run(claimed: Claimed, context: LambdaContext): Promise<Ended> {
    const handler = this.handlers.get(claimed.type);
    if (handler === undefined) throw new Error(`there is no handler for ${claimed.type}`);
    return runJob(this.calls, claimed, handler, () => context.getRemainingTimeInMillis());
  }
}
