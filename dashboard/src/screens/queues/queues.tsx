import { Button } from '@mantine/core';
import type { Queue } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { Link } from 'wouter';
import { useQueues } from '../../api/reads';
import { useRights } from '../../api/session';
import { isJobEvent } from '../../live/feed';
import { useLiveRefresh } from '../../live/use-live';
import { count, duration, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Empty, Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { PauseDialog } from './pause-dialog';
import { QueueDialog } from './queue-dialog';
import { useQueueActions } from './use-queue-actions';

const REFRESH_MS = 2000;

export function Queues() {
  const { isAdmin } = useRights();
  const queues = useQueues();
  const [pausing, setPausing] = useState<string | null>(null);
  const [isAdding, setAdding] = useState(false);
  const { resume } = useQueueActions();
  useLiveRefresh(['queues'], REFRESH_MS, isJobEvent);
  const columns: TableColumn<Queue>[] = [
    {
      key: 'name',
      header: 'Queue',
      cell: ({ name }) => <Link href={`/queues/${encodeURIComponent(name)}`}>{visible(name)}</Link>,
    },
    { key: 'state', header: 'State', cell: ({ paused }) => <State paused={paused} /> },
    {
      key: 'waiting',
      header: 'Waiting',
      isNumber: true,
      cell: ({ name, waiting }) => (
        <Link href={`/jobs?status=pending&status=blocked&queue=${encodeURIComponent(name)}`} className="plain">
          {count(waiting)}
        </Link>
      ),
    },
    {
      key: 'running',
      header: 'Running',
      isNumber: true,
      cell: ({ name, running, concurrency }) => (
        <Link href={`/jobs?status=running&queue=${encodeURIComponent(name)}`} className="plain">
          {concurrency === null ? count(running) : `${count(running)} of ${count(concurrency)}`}
        </Link>
      ),
    },
    { key: 'oldest', header: 'Oldest', isNumber: true, cell: ({ oldestAgeMs }) => duration(oldestAgeMs) },
    {
      key: 'in',
      header: 'In per minute',
      isNumber: true,
      isMinor: true,
      cell: ({ inPerMinute }) => count(inPerMinute),
    },
    {
      key: 'out',
      header: 'Out per minute',
      isNumber: true,
      isMinor: true,
      cell: ({ outPerMinute }) => count(outPerMinute),
    },
    { key: 'limits', header: 'Limits', isMinor: true, cell: (queue) => limitsInWords(queue) },
    ...(isAdmin
      ? [
          {
            key: 'actions',
            header: <span className="hidden">Actions</span>,
            isNumber: true,
            cell: ({ name, paused }: Queue) =>
              paused === null ? (
                <Button
                  size="compact-xs"
                  variant="default"
                  leftSection={<Icon name="pause" size={12} />}
                  onClick={() => setPausing(name)}
                  aria-label={`Pause ${name}`}
                >
                  Pause
                </Button>
              ) : (
                <Button
                  size="compact-xs"
                  variant="default"
                  leftSection={<Icon name="play" size={12} />}
                  onClick={() => void resume.run(name)}
                  aria-label={`Resume ${name}`}
                >
                  Resume
                </Button>
              ),
          },
        ]
      : []),
  ];
  return (
    <Page
      title="Queues"
      actions={
        isAdmin && (
          <Button
            size="xs"
            variant="default"
            leftSection={<Icon name="plus" size={14} />}
            onClick={() => setAdding(true)}
          >
            Set up a queue
          </Button>
        )
      }
    >
      <Found query={queues}>
        {({ items }) => (
          <Table
            label="Queues"
            rows={items}
            columns={columns}
            keyOf={({ name }) => name}
            empty={
              <Empty title="No queue yet.">
                A queue is there with its first job; jobs that name none go to <code>default</code>. Limits can be set
                before that.
              </Empty>
            }
          />
        )}
      </Found>
      {pausing !== null && <PauseDialog name={pausing} onClose={() => setPausing(null)} />}
      {isAdding && <QueueDialog queue={null} onClose={() => setAdding(false)} />}
    </Page>
  );
}

export function State({ paused }: { paused: Queue['paused'] }) {
  if (paused === null) return <Word tone="good">running</Word>;
  return (
    <span title={paused.reason ?? undefined}>
      <Word tone="warning">paused</Word>
    </span>
  );
}

export function limitsInWords(queue: Queue): string {
  const { concurrency, concurrencyPerKey, rateLimit, keyRateLimit, userRateLimit, maxWaiting } = queue;
  return [
    concurrency !== null && `${count(concurrency)} at once`,
    concurrencyPerKey !== null && `${count(concurrencyPerKey)} a key`,
    rateLimit !== null && `${count(rateLimit.max)} in ${duration(rateLimit.perMs)}`,
    keyRateLimit !== null && `${count(keyRateLimit.max)} a key in ${duration(keyRateLimit.perMs)}`,
    userRateLimit !== null && `${count(userRateLimit.max)} a user in ${duration(userRateLimit.perMs)}`,
    maxWaiting !== null && `${count(maxWaiting)} may wait`,
  ]
    .filter((each) => each !== false)
    .join(', ');
}
