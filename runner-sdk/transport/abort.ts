/** What is to be called when a signal is aborted. One listener per signal serves all of them. */
const callbacks = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `callback` once, when the signal is aborted. A signal shared by a thousand calls gets one listener, which
 * costs less than one each, and does not look like a leak to Node.
 * @returns takes the callback back
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const own = callbacks.get(signal) ?? listenTo(signal);
  own.add(callback);
  return () => void own.delete(callback);
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const own = new Set<() => void>();
  callbacks.set(signal, own);
  signal.addEventListener('abort', () => own.forEach((callback) => callback()), { once: true });
  return own;
}
