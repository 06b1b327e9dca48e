const PARENT_POLL_MS = 500;
/** npm passes on the Ctrl-C that the terminal has already sent. */
const SAME_KEYSTROKE_MS = 1000;

/**
 * Returns a signal that is aborted at Ctrl-C, when the terminal is closed, and when the parent is gone: npm, told to
 * end, ends without telling this process.
 * @param onSecondRequest called when the user asks again
 */
export function listenForTheEnd(onSecondRequest: () => void): AbortSignal {
  const stopping = new AbortController();
  let askedAtMs: number | undefined;
  const ask = (): void => {
    const nowMs = performance.now();
    if (askedAtMs !== undefined && nowMs - askedAtMs > SAME_KEYSTROKE_MS) onSecondRequest();
    askedAtMs ??= nowMs;
    stopping.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    ask();
  }, PARENT_POLL_MS);
  timer.unref();
  return stopping.signal;
}
