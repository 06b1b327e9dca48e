import { type QueryKey, useQueryClient } from '@tanstack/react-query';
import { useEffect, useEffectEvent, useSyncExternalStore } from 'react';
import type { ConnectionStatus, LiveEvent } from './connection';
import { type Batch, feed } from './feed';
import type { Query } from '../api/call';

export function useConnectionStatus(): ConnectionStatus {
  return useSyncExternalStore(
    (changed) => feed.watchStatus(changed),
    () => feed.status,
  );
}

/** Calls with each batch of events while the component is shown. */
export function useLive(listener: (batch: Batch) => void): void {
  const heard = useEffectEvent(listener);
  useEffect(() => feed.listen((batch) => heard(batch)), []);
}

/** Only these events are streamed while the component is shown. */
export function useScope(filter: Query): void {
  const named = JSON.stringify(filter);
  useEffect(() => feed.narrow(JSON.parse(named) as Query), [named]);
}

/**
 * Reads again what is shown when events say that it changed: soon after the first one, then at most every so often.
 * @param concerns which events change it
 */
export function useLiveRefresh(queryKey: QueryKey, everyMs: number, concerns: (event: LiveEvent) => boolean): void {
  const client = useQueryClient();
  const named = JSON.stringify(queryKey);
  const isConcerned = useEffectEvent(
    ({ events, isIncomplete }: Batch) => isIncomplete || events.some((event) => concerns(event)),
  );
  useEffect(() => {
    let timer: number | undefined;
    let isDue = false;
    const refresh = (): void => {
      isDue = false;
      timer = window.setTimeout(() => {
        timer = undefined;
        if (isDue) refresh();
      }, everyMs);
      void client.invalidateQueries({ queryKey: JSON.parse(named) as QueryKey });
    };
    const leave = feed.listen((batch) => {
      if (!isConcerned(batch)) return;
      if (timer === undefined) refresh();
      else isDue = true;
    });
    return () => {
      window.clearTimeout(timer);
      leave();
    };
  }, [client, named, everyMs]);
}
