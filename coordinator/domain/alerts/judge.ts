import type { AlertState } from '@baton/runner-sdk/protocol';

export interface Judged {
  state: AlertState;
  threshold: number;
  forMs: number;
  /** How long it has been in its state, by the database's clock. */
  stateMs: number;
}

/** The state that a rule comes into, at this value; null: there is nothing to measure, and so nothing above. */
export function judge({ state, threshold, forMs, stateMs }: Judged, value: number | null): AlertState {
  if (!isAbove(value, threshold)) return 'ok';
  if (state === 'firing') return 'firing';
  if (forMs === 0) return 'firing';
  return state === 'pending' && stateMs >= forMs ? 'firing' : 'pending';
}

export function isAbove(value: number | null, threshold: number): boolean {
  return value !== null && value > threshold;
}
