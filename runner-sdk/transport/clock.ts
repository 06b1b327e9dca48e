/** Milliseconds on a clock that only goes forward and that every thread of the process shares (`performance.now` is not shared). */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
