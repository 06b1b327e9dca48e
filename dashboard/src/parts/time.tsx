import { useSyncExternalStore } from 'react';
import { ago, duration, exactTime } from './format';

const TICK_MS = 1000;

/** One clock for everything that counts; it stands still while nobody looks. */
const ticking = {
  now: Date.now(),
  watchers: new Set<() => void>(),
  timer: undefined as number | undefined,
};

function watch(changed: () => void): () => void {
  ticking.watchers.add(changed);
  ticking.timer ??= window.setInterval(() => {
    if (document.visibilityState !== 'visible') return;
    ticking.now = Date.now();
    for (const watcher of ticking.watchers) watcher();
  }, TICK_MS);
  return () => {
    ticking.watchers.delete(changed);
    if (ticking.watchers.size > 0) return;
    window.clearInterval(ticking.timer);
    ticking.timer = undefined;
  };
}

/** The time of this machine, a second exact. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => ticking.now);
}

/** How long ago it was, or how long it is still; the exact time in the viewer's zone on hover. */
export function Time({ at, empty = '–' }: { at: string | null | undefined; empty?: string }) {
  const text = useSyncExternalStore(watch, () => (at ? ago(at, ticking.now) : empty));
  if (!at) return <span>{empty}</span>;
  return (
    <time dateTime={at} title={exactTime(at)} className="number">
      {text}
    </time>
  );
}

/** How long it has been going on. */
export function Elapsed({ since }: { since: string }) {
  const now = useNow();
  return (
    <time dateTime={since} title={`since ${exactTime(since)}`} className="number">
      {duration(Math.max(0, now - Date.parse(since)))}
    </time>
  );
}
