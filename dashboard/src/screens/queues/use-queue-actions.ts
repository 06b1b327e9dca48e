import type { Queue } from '@baton/runner-sdk/protocol';
import { post } from '../../api/call';
import { useAction } from '../../parts/use-action';

const CHANGES = [['queues'], ['queue'], ['stats'], ['list'], ['head']];

export function useQueueActions() {
  const resume = useAction((name: string) => post<Queue>(['queues', name, 'resume']), CHANGES);
  const purge = useAction((name: string) => post<{ count: number }>(['queues', name, 'purge']), CHANGES);
  return { resume, purge };
}
