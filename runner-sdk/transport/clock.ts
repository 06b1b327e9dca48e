/** Milliseconds on a monotonic clock that is shared by all threads of the process (`performance.now` is not). */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
