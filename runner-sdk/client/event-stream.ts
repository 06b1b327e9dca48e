import { onAbort } from '../transport/abort';
import { pause, retryDelayMs } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import { BatonError } from '../transport/errors';
import { isWorthAnotherTry, type ApiRequest, type Transport } from '../transport/transport';

export interface EventStreamOptions {
  /** Ends the stream: the loop throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Resumes after this event; nothing is missed for an hour. Default: from now on. */
  lastEventId?: string | undefined;
  /**
   * Called when events may be missing, because the stream was disconnected for longer than they are kept. The stream
   * continues when it returns; what it throws, or rejects with, ends the stream.
   */
  onGap?: (() => unknown) | undefined;
}

/** One event of a stream; `ready` and `gap` come from the stream itself when it starts or reconnects. */
export interface Frame {
  event: string;
  id: string;
  data: unknown;
}

export interface StreamSource {
  transport: Transport;
  request: Pick<ApiRequest, 'path' | 'query'>;
  /** How long the first connection may be retried. Later ones are retried until the stream is closed. */
  budgetMs: number;
}

/** A coordinator sends something every 15 s. */
const SILENCE_MS = 45_000;

/** A generator that can be left at any time: `return` ends it at once, even while it is waiting. */
export function closable<T>(run: (left: AbortSignal) => AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  const left = new AbortController();
  const values = run(left.signal);
  const end = () => {
    left.abort();
    return values.return();
  };
  return {
    next: () => values.next(),
    return: end,
    throw: (error) => {
      left.abort();
      return values.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/**
 * Reads server-sent events, reconnecting after the last event. Connects with the first `next`.
 * @param left aborted when the consumer has left the loop
 */
export async function* readFrames(
  { transport, request, budgetMs }: StreamSource,
  { signal, lastEventId }: EventStreamOptions,
  left: AbortSignal,
): AsyncGenerator<Frame, void> {
  signal?.throwIfAborted();
  const cut = new AbortController();
  const ignore = [left, ...(signal ? [signal] : [])].map((one) => onAbort(one, () => cut.abort()));
  const state = { lastId: lastEventId, failures: 0, isOpened: false };
  const endsAtMs = monotonicMs() + budgetMs;
  try {
    for (;;) {
      const error = yield* readConnection(transport, request, state, cut.signal);
      if (!cut.signal.aborted) {
        if (error !== null && !isWorthAnotherTry(error, { method: 'GET', path: request.path })) throw error;
        state.failures += 1;
        const waitMs = retryDelayMs(state.failures, error?.retryAfterMs ?? null);
        if (error !== null && !state.isOpened && monotonicMs() + waitMs > endsAtMs) throw error;
        await pause(waitMs, cut.signal).catch(() => undefined);
      }
      signal?.throwIfAborted();
      if (cut.signal.aborted) return;
    }
  } finally {
    for (const one of ignore) one();
    cut.abort();
  }
}

/** Returns why the connection ended; `null` when the coordinator closed it. */
async function* readConnection(
  transport: Transport,
  request: Pick<ApiRequest, 'path' | 'query'>,
  state: { lastId: string | undefined; failures: number; isOpened: boolean },
  signal: AbortSignal,
): AsyncGenerator<Frame, BatonError | null> {
  const headers: Record<string, string> = state.lastId === undefined ? {} : { 'last-event-id': state.lastId };
  const pieces = transport.stream({ method: 'GET', ...request, headers, signal, timeoutMs: SILENCE_MS });
  try {
    for await (const frame of parseFrames(pieces)) {
      state.failures = 0;
      state.isOpened = true;
      if (frame.id !== '') state.lastId = frame.id;
      yield frame;
    }
  } catch (error) {
    if (signal.aborted) return null;
    if (error instanceof BatonError) return error;
    throw error;
  }
  return null;
}

/** Parses server-sent events, whose lines may end in any of three ways. */
export async function* parseFrames(pieces: AsyncIterable<string>): AsyncGenerator<Frame, void> {
  let rest = '';
  let fields = new Map<string, string>();
  for await (const piece of pieces) {
    // A chunk may end between the two characters of a line ending.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        const frame = frameOf(fields);
        fields = new Map();
        if (frame !== null) yield frame;
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const [name, value] = colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
      const before = name === 'data' ? fields.get(name) : undefined;
      fields.set(name, before === undefined ? value : `${before}\n${value}`);
    }
  }
}

function frameOf(fields: ReadonlyMap<string, string>): Frame | null {
  const data = fields.get('data');
  if (data === undefined) return null;
  return { event: fields.get('event') ?? 'message', id: fields.get('id') ?? '', data: JSON.parse(data) as unknown };
}
