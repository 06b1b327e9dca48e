import type { LogLevel } from '@baton/runner-sdk/protocol';
import { useEffect, useEffectEvent, useRef, useState } from 'react';
import { get } from '../../api/call';
import type { Page } from '../../api/reads';
import { feed, isJobEvent } from '../../live/feed';

interface LogLine {
  seq: number;
  at: string;
  level: LogLevel;
  message: string;
  fields?: unknown;
  attempt: number;
}

export interface LogEntry extends LogLine {
  fieldsText: string;
}

const PAGE = 500;
/** The oldest lines go when there are more, so that a job that talks for days does not fill the tab. */
const MOST_KEPT = 20_000;

/** A job's log lines: read up to the end, then on from the last one whenever an event says that there are more. */
export function useLogs(jobId: string): { lines: readonly LogEntry[]; error: unknown; isLoading: boolean } {
  const [lines, setLines] = useState<readonly LogEntry[]>([]);
  const [error, setError] = useState<unknown>(null);
  const [isLoading, setLoading] = useState(true);
  const last = useRef(0);
  const reading = useRef({ isOn: false, isWanted: false });

  const readOn = useEffectEvent(async (signal: AbortSignal): Promise<void> => {
    const state = reading.current;
    state.isWanted = true;
    if (state.isOn) return;
    state.isOn = true;
    try {
      while (state.isWanted && !signal.aborted) {
        state.isWanted = false;
        const query = { after: last.current, limit: PAGE };
        const { items, nextCursor } = await get<Page<LogLine>>(['jobs', jobId, 'logs'], query, signal);
        last.current = items.at(-1)?.seq ?? last.current;
        if (items.length > 0) setLines((before) => [...before, ...items.map(entryOf)].slice(-MOST_KEPT));
        if (nextCursor !== null) state.isWanted = true;
      }
      setError(null);
    } catch (fault) {
      if (!signal.aborted) setError(fault);
    } finally {
      state.isOn = false;
      setLoading(false);
    }
  });

  useEffect(() => {
    const gone = new AbortController();
    last.current = 0;
    reading.current = { isOn: false, isWanted: false };
    setLines([]);
    void readOn(gone.signal);
    const leave = feed.listen(({ events, isIncomplete }) => {
      const isConcerned = events.some((event) => isJobEvent(event) && event.jobId === jobId);
      if (isIncomplete || isConcerned) void readOn(gone.signal);
    });
    return () => {
      leave();
      gone.abort();
    };
  }, [jobId]);

  return { lines, error, isLoading };
}

function entryOf(line: LogLine): LogEntry {
  return {
    ...line,
    fieldsText: line.fields === null || line.fields === undefined ? '' : JSON.stringify(line.fields),
  };
}
