import { type InfiniteData, useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import type { JobEvent, ListedJob } from '@baton/runner-sdk/protocol';
import { useCallback, useMemo } from 'react';
import { get, type Query } from '../../api/call';
import type { Page } from '../../api/reads';
import { isJobEvent } from '../../live/feed';
import { useLive, useLiveRefresh } from '../../live/use-live';

/** What a row shows of a job, and nothing more: there may be 100,000 of them. */
export type JobLine = Pick<
  ListedJob,
  | 'id'
  | 'type'
  | 'queue'
  | 'status'
  | 'reason'
  | 'priority'
  | 'attempt'
  | 'failures'
  | 'maxAttempts'
  | 'userId'
  | 'tags'
  | 'runnerId'
  | 'createdAt'
  | 'startedAt'
  | 'finishedAt'
  | 'runAt'
> & { percent: number | null; preview: string };

interface Lines {
  items: JobLine[];
  nextCursor: string | null;
}

const FIRST_PAGE = 100;
const NEXT_PAGES = 500;
const REFRESH_MS = 1000;
const MOST_PREVIEW = 160;

/**
 * Jobs that match, newest first. Events change the rows that are shown; the first rows are read again after events, and
 * stand for what is true of their range. New jobs are put before the others while the first rows are in sight; when
 * more came than fit between, `hasNewer` says so.
 */
export function useJobList(path: readonly string[], filter: Query, isAtTop: boolean) {
  const client = useQueryClient();
  const key = useMemo(() => ['list', path, filter] as const, [path, filter]);
  const list = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) =>
      readLines(path, { ...filter, limit: pageParam === null ? FIRST_PAGE : NEXT_PAGES, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
    gcTime: 60_000,
  });
  const headKey = useMemo(() => ['head', ...key], [key]);
  const head = useQuery({
    queryKey: headKey,
    queryFn: ({ signal }) => readLines(path, { ...filter, limit: FIRST_PAGE, cursor: null }, signal),
    enabled: list.isSuccess,
    refetchInterval: 15_000,
    // What was just read by the list need not be read again.
    initialData: () => client.getQueryData<InfiniteData<Lines>>(key)?.pages[0],
    initialDataUpdatedAt: () => client.getQueryState(key)?.dataUpdatedAt,
  });
  useLiveRefresh(headKey, REFRESH_MS, isJobEvent);
  useLive(({ events }) => {
    const latest = new Map(events.filter(isJobEvent).map((event) => [event.jobId, event]));
    if (latest.size === 0) return;
    client.setQueryData<InfiniteData<Lines>>(key, (data) => (data === undefined ? data : patched(data, latest)));
  });

  const merged = useMemo(() => merge(list.data, head.data), [list.data, head.data]);
  const restart = useCallback(() => {
    const page = client.getQueryData<Lines>(headKey);
    if (page !== undefined) client.setQueryData<InfiniteData<Lines>>(key, { pages: [page], pageParams: [null] });
    return client.invalidateQueries({ queryKey: headKey });
  }, [client, headKey, key]);
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = list;
  const readMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);
  // Nobody has scrolled to what would be lost.
  if (merged.hasGap && isAtTop) queueMicrotask(() => void restart());
  return {
    rows: merged.rows,
    hasNewer: merged.hasGap && !isAtTop,
    restart,
    readMore,
    isPending: list.isPending,
    isLoadingMore: isFetchingNextPage,
    error: list.error,
    refetch: list.refetch,
    hasMore: hasNextPage,
  };
}

async function readLines(path: readonly string[], query: Query, signal: AbortSignal): Promise<Lines> {
  const { items, nextCursor } = await get<Page<ListedJob>>(path, query, signal);
  return { items: items.map(lineOf), nextCursor };
}

function lineOf(job: ListedJob): JobLine {
  const args = job.omitted?.includes('arguments') === true ? '(large)' : JSON.stringify(job.arguments);
  return {
    id: job.id,
    type: job.type,
    queue: job.queue,
    status: job.status,
    reason: job.reason,
    priority: job.priority,
    attempt: job.attempt,
    failures: job.failures,
    maxAttempts: job.maxAttempts,
    userId: job.userId,
    tags: job.tags,
    runnerId: job.runnerId,
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt,
    runAt: job.runAt,
    percent: job.progress?.percent ?? null,
    preview: (job.status === 'failed' ? (job.error?.message ?? args) : args).slice(0, MOST_PREVIEW),
  };
}

function patched(data: InfiniteData<Lines>, latest: ReadonlyMap<string, JobEvent>): InfiniteData<Lines> {
  let hasChanged = false;
  const pages = data.pages.map((page) => {
    if (!page.items.some(({ id }) => latest.has(id))) return page;
    hasChanged = true;
    return { ...page, items: page.items.map((line) => withEvent(line, latest.get(line.id))) };
  });
  return hasChanged ? { ...data, pages } : data;
}

function withEvent(line: JobLine, event: JobEvent | undefined): JobLine {
  // Events of an attempt that is over may come behind what the list has read already.
  if (event === undefined || event.attempt < line.attempt) return line;
  const { name, at, status, attempt, runnerId, details } = event;
  const sent = name === 'job.progress' ? details?.['percent'] : undefined;
  return {
    ...line,
    status,
    attempt,
    runnerId,
    startedAt: name === 'job.claimed' ? at : line.startedAt,
    finishedAt:
      status === 'completed' || status === 'failed' || status === 'cancelled' ? (line.finishedAt ?? at) : null,
    percent: typeof sent === 'number' ? sent : name === 'job.claimed' ? null : line.percent,
  };
}

/** Within the range of the head, which was read last, the head alone is true. */
function merge(data: InfiniteData<Lines> | undefined, head: Lines | undefined): { rows: JobLine[]; hasGap: boolean } {
  const rows = data?.pages.flatMap(({ items }) => items) ?? [];
  if (head === undefined) return { rows, hasGap: false };
  const lastOfHead = head.items.at(-1);
  if (lastOfHead === undefined || head.nextCursor === null) return { rows: head.items, hasGap: false };
  const firstOfRows = rows[0];
  if (firstOfRows === undefined) return { rows: head.items, hasGap: false };
  if (lastOfHead.id > firstOfRows.id) return { rows, hasGap: true };
  // Ids begin with the time, so their order is that of the list.
  return { rows: [...head.items, ...rows.filter(({ id }) => id < lastOfHead.id)], hasGap: false };
}
