import type { FieldError, Problem } from '@baton/runner-sdk/protocol';

/** What a call failed with: the problem that the coordinator answered, or that there was no answer. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** Zero: the coordinator was not reached. */
    readonly status: number,
    readonly code: Problem['code'] | 'unreachable',
    readonly errors: readonly FieldError[] = [],
    readonly requestId: string | null = null,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  get isUnreachable(): boolean {
    return this.status === 0;
  }
}

export function unreachable(): ApiError {
  return new ApiError('The coordinator cannot be reached.', 0, 'unreachable');
}

/** Proxies in between answer in formats of their own. */
export async function problemOf(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get('retry-after'));
  const retryAfterMs = Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter * 1000 : null;
  const body: unknown = await response.json().catch(() => null);
  if (!isProblem(body)) {
    const text = `The coordinator, or a proxy before it, answered ${response.status} ${response.statusText}`.trim();
    return new ApiError(`${text}.`, response.status, 'internal', [], null, retryAfterMs);
  }
  return new ApiError(body.detail, response.status, body.code, body.errors ?? [], body.requestId, retryAfterMs);
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'detail' in body;
}

/** What to show of whatever was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError && error.errors.length > 0)
    return `${error.message} ${error.errors.map(({ path, message }) => `${path} ${message}`).join('; ')}`;
  return error instanceof Error ? error.message : String(error);
}
