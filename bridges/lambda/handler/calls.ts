import { setTimeout as pause } from 'node:timers/promises';

/** A call that was refused, and that another try will not change. */
export class RefusedCall extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(`${code}: ${detail}`);
  }
}

/** No answer came in time. */
export class UnreachableError extends Error {}

export interface CallsOptions {
  coordinatorUrl: string;
  apiKey: string;
}

const FIRST_WAIT_MS = 100;
const MOST_WAIT_MS = 2000;
const ANSWER_MS = 15_000;

/**
 * Sends calls to the coordinator by the platform's own `fetch`, so that a function starts without loading anything.
 * Each is repeated on 429, 5xx and broken connections; only calls that may be repeated are sent.
 */
export class Calls {
  constructor(private readonly options: CallsOptions) {}

  /** @throws {RefusedCall} @throws {UnreachableError} when there was no good answer within `budgetMs` */
  async post<Answer>(path: string, body: unknown, budgetMs: number): Promise<Answer> {
    const endsAtMs = performance.now() + budgetMs;
    for (let failures = 1; ; failures += 1) {
      const answer = await this.once(path, body, endsAtMs).catch((error: unknown) => error as Error);
      if (!(answer instanceof Error) && answer.ok) return (await answer.json()) as Answer;
      if (!(answer instanceof Error) && answer.status !== 429 && answer.status < 500) throw await refusalOf(answer);
      const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), MOST_WAIT_MS) * (0.5 + Math.random() / 2);
      if (performance.now() + waitMs >= endsAtMs) {
        const reason = answer instanceof Error ? answer.message : `status ${answer.status}`;
        throw new UnreachableError(`the coordinator could not be reached: ${reason}`);
      }
      await pause(waitMs);
    }
  }

  private once(path: string, body: unknown, endsAtMs: number): Promise<Response> {
    const { coordinatorUrl, apiKey } = this.options;
    return fetch(`${coordinatorUrl.replace(/\/+$/, '')}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(Math.max(1, Math.ceil(Math.min(ANSWER_MS, endsAtMs - performance.now())))),
    });
  }
}

async function refusalOf(answer: Response): Promise<RefusedCall> {
  const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
  return new RefusedCall(
    answer.status,
    problem.code ?? 'unexpected_reply',
    problem.detail ?? `status ${answer.status}`,
  );
}
