import { useInfiniteQuery } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';
import { get, type Query } from '../api/call';
import type { Page } from '../api/reads';

const PAGE = 200;

/** A list that is read page by page as its end comes into sight. */
export function usePages<Item>(path: readonly string[], query: Query, refetchMs?: number) {
  const list = useInfiniteQuery({
    queryKey: ['pages', path, query],
    queryFn: ({ pageParam, signal }) => get<Page<Item>>(path, { ...query, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor,
    // Of a list that was read far, all pages would be read again.
    refetchInterval: ({ state }) =>
      (state.data?.pages.length ?? 0) > 1 || refetchMs === undefined ? false : refetchMs,
  });
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = list;
  const readMore = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items), [list.data]);
  return { ...list, data: rows, readMore, isLoadingMore: isFetchingNextPage };
}
