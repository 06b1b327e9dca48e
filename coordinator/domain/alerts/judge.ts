import type { AlertState } from '@baton/runner-sdk/protocol';

export interface Judged {
  state: AlertState;
  threshold: number;
  forMs: number;
  /** Time since it entered its state, by the database's clock. */
  stateMs: number;
}

/** The next state of a rule for this value; null: there is nothing to measure, so the threshold is not exceeded. */
export function judge({ state, threshold, forMs, stateMs }: Judged, value: number | null): AlertState {
  if (!isAbove(value, threshold)) return 'ok';
  if (state === 'firing') return 'firing';
  if (forMs === 0) return 'firing';
  return state === 'pending' && stateMs >= forMs ? 'firing' : 'pending';
}

export function isAbove(value: number | null, threshold: number): boolean {
  return value !== null && value > threshold;
}
