import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import type {
  Alert,
  Analytics,
  AnalyticsQuery,
  DeadLetterGroup,
  Health,
  Job as PlainJob,
  Queue,
  RunnerView,
  Stats,
  WorkflowSummary,
} from '@baton/runner-sdk/protocol';
import { get, type Query } from './call';
import { useRights } from './session';

/** What composition adds to a job; absent from coordinators that know nothing of it. */
interface Composed {
  dependsOn?: string[];
  workflowId?: string | null;
  batchId?: string | null;
  scheduleId?: string | null;
}

export type Job = PlainJob & Composed;

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/** For what tells no events of itself: read again this often while it is looked at. */
const SLOW_MS = 10_000;
/** Beside what events cause, because an event may be missed. */
const SAFETY_MS = 30_000;
const MOST_WAITING = 100;

export function useStats(): UseQueryResult<Stats> {
  return useQuery({
    queryKey: ['stats'],
    queryFn: ({ signal }) => get<Stats>(['stats'], {}, signal),
    refetchInterval: SLOW_MS,
  });
}

export function useAnalytics(
  by: AnalyticsQuery['by'],
  range: AnalyticsQuery['range'],
  key?: string,
): UseQueryResult<Analytics> {
  return useQuery({
    queryKey: ['analytics', by, range, key ?? null],
    queryFn: ({ signal }) => get<Analytics>(['analytics'], { by, range, key, limit: 100 }, signal),
    refetchInterval: SAFETY_MS,
    placeholderData: (before) => before,
  });
}

export function useQueues(): UseQueryResult<Page<Queue>> {
  const { isOperator } = useRights();
  return useQuery({
    queryKey: ['queues'],
    queryFn: ({ signal }) => get<Page<Queue>>(['queues'], { limit: 500 }, signal),
    refetchInterval: SLOW_MS,
    enabled: isOperator,
  });
}

export function useRunners(): UseQueryResult<RunnerView[]> {
  const { isOperator } = useRights();
  return useQuery({
    queryKey: ['runners'],
    queryFn: ({ signal }) => all<RunnerView>(['runners'], {}, signal),
    refetchInterval: SLOW_MS,
    enabled: isOperator,
  });
}

export function useAlerts(): UseQueryResult<Alert[]> {
  const { isOperator } = useRights();
  return useQuery({
    queryKey: ['alerts'],
    queryFn: ({ signal }) => all<Alert>(['alerts'], {}, signal),
    refetchInterval: SLOW_MS,
    enabled: isOperator,
  });
}

export function useHealth(): UseQueryResult<Health> {
  const { isOperator } = useRights();
  return useQuery({
    queryKey: ['health'],
    queryFn: ({ signal }) => get<Health>(['health'], {}, signal),
    refetchInterval: SLOW_MS,
    enabled: isOperator,
  });
}

/** The newest of the workflows with a gate that waits for somebody's decision. */
export function useWaitingWorkflows(): UseQueryResult<Page<WorkflowSummary>> {
  return useQuery({
    queryKey: ['workflows', 'waiting'],
    queryFn: ({ signal }) =>
      get<Page<WorkflowSummary>>(['workflows'], { gate: 'waiting', limit: MOST_WAITING }, signal),
    refetchInterval: SLOW_MS,
  });
}

export function useDeadLetterGroups(filter: Query): UseQueryResult<{ items: DeadLetterGroup[] }> {
  return useQuery({
    queryKey: ['dead-letters', 'groups', filter],
    queryFn: ({ signal }) =>
      get<{ items: DeadLetterGroup[] }>(['dead-letters', 'groups'], { ...filter, limit: 500 }, signal),
    refetchInterval: SAFETY_MS,
  });
}

export function useJob(id: string): UseQueryResult<Job> {
  return useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => get<Job>(['jobs', id], {}, signal),
    refetchInterval: SAFETY_MS,
  });
}

const MOST_PAGES = 10;

/** A list whose every item is wanted, up to 5,000. */
export async function all<Item>(path: readonly string[], query: Query, signal?: AbortSignal): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const found: Page<Item> = await get<Page<Item>>(path, { ...query, limit: 500, cursor }, signal);
    items.push(...found.items);
    cursor = found.nextCursor;
    if (cursor === null) break;
  }
  return items;
}
