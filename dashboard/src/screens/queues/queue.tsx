import { Button, Group, SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { AnalyticsQuery, Queue } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { Link } from 'wouter';
import { get } from '../../api/call';
import { useAnalytics } from '../../api/reads';
import { useRights } from '../../api/session';
import { isJobEvent } from '../../live/feed';
import { useLiveRefresh } from '../../live/use-live';
import { useConfirm } from '../../parts/confirm';
import { count, duration, plural, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { tell } from '../../parts/notify';
import { Card, Found, Page } from '../../parts/page';
import { Time } from '../../parts/time';
import { Charts } from '../overview/charts';
import { PauseDialog } from './pause-dialog';
import { QueueDialog } from './queue-dialog';
import classes from './queue.module.css';
import { limitsInWords, State } from './queues';
import { useQueueActions } from './use-queue-actions';

const REFRESH_MS = 2000;

export function QueueScreen({ name }: { name: string }) {
  const { isAdmin } = useRights();
  const confirm = useConfirm();
  const { resume, purge } = useQueueActions();
  const [range, setRange] = useState<AnalyticsQuery['range']>('1h');
  const [dialog, setDialog] = useState<'pause' | 'limits' | null>(null);
  const analytics = useAnalytics('queue', range, name);
  const queue = useQuery({
    queryKey: ['queue', name],
    queryFn: ({ signal }) => get<Queue>(['queues', name], {}, signal),
    refetchInterval: 5000,
  });
  useLiveRefresh(['queue', name], REFRESH_MS, (event) => isJobEvent(event) && event.queue === name);

  const askToPurge = async (waiting: number): Promise<void> => {
    const answer = await confirm({
      title: `Empty the queue ${visible(name)}?`,
      text: `${plural(waiting, 'waiting job')} ${waiting === 1 ? 'is' : 'are'} cancelled. Those that run go on.`,
      action: `Cancel ${count(waiting)}`,
      isDangerous: true,
    });
    if (answer === null) return;
    const done = await purge.run(name);
    if (done !== undefined) tell(`${plural(done.count, 'job')} cancelled.`);
  };

  return (
    <Found query={queue}>
      {(found) => {
        const { waiting, running, oldestAgeMs, inPerMinute, outPerMinute, paused } = found;
        return (
          <Page
            title={`Queue ${visible(name)}`}
            note={<State paused={paused} />}
            actions={
              isAdmin && (
                <>
                  {paused === null ? (
                    <Button
                      size="xs"
                      variant="default"
                      leftSection={<Icon name="pause" size={14} />}
                      onClick={() => setDialog('pause')}
                    >
                      Pause
                    </Button>
                  ) : (
                    <Button
                      size="xs"
                      leftSection={<Icon name="play" size={14} />}
                      loading={resume.isRunning}
                      onClick={() => void resume.run(name)}
                    >
                      Resume
                    </Button>
                  )}
                  <Button
                    size="xs"
                    variant="default"
                    leftSection={<Icon name="edit" size={14} />}
                    onClick={() => setDialog('limits')}
                  >
                    Limits
                  </Button>
                  {waiting > 0 && (
                    <Button
                      size="xs"
                      variant="default"
                      leftSection={<Icon name="remove" size={14} />}
                      onClick={() => void askToPurge(waiting)}
                    >
                      Empty
                    </Button>
                  )}
                </>
              )
            }
          >
            <div className={classes.stack}>
              {paused !== null && (
                <Card>
                  Paused by <strong>{visible(paused.by)}</strong> <Time at={paused.at} />
                  {paused.reason !== null && <>: {visible(paused.reason)}</>}.{' '}
                  {paused.untilAt === null ? (
                    'It stays so until somebody resumes it.'
                  ) : (
                    <>
                      It ends <Time at={paused.untilAt} />.
                    </>
                  )}
                </Card>
              )}
              <dl className={classes.figures}>
                <Figure label="Waiting" value={count(waiting)} href={jobsOf(name, 'pending', 'blocked')} />
                <Figure label="Running" value={count(running)} href={jobsOf(name, 'running')} />
                <Figure label="Oldest due" value={duration(oldestAgeMs)} href={jobsOf(name, 'pending')} />
                <Figure label="In per minute" value={count(inPerMinute)} href={jobsOf(name)} />
                <Figure label="Out per minute" value={count(outPerMinute)} href={jobsOf(name, 'completed', 'failed')} />
              </dl>
              <Group justify="flex-end">
                <SegmentedControl
                  size="xs"
                  value={range}
                  onChange={(next) => setRange(next)}
                  data={['1h', '24h', '7d', '30d']}
                  aria-label="Time range of the charts"
                />
              </Group>
              <Found query={analytics}>{(data) => <Charts analytics={data} queue={name} />}</Found>
              <Card title="Settings">
                <Settings queue={found} />
              </Card>
            </div>
            {dialog === 'pause' && <PauseDialog name={name} onClose={() => setDialog(null)} />}
            {dialog === 'limits' && <QueueDialog queue={found} onClose={() => setDialog(null)} />}
          </Page>
        );
      }}
    </Found>
  );
}

function Figure({ label, value, href }: { label: string; value: string; href: string }) {
  return (
    <div className="card">
      <dt>{label}</dt>
      <dd>
        <Link href={href} className="plain">
          {value}
        </Link>
      </dd>
    </div>
  );
}

function Settings({ queue }: { queue: Queue }) {
  const limits = limitsInWords(queue);
  const { defaults, retention, fair, checkArguments, cost } = queue;
  return (
    <dl className={classes.settings}>
      <dt>Limits</dt>
      <dd>{limits === '' ? 'none' : limits}</dd>
      <dt>Order</dt>
      <dd>{fair ? 'by priority; users and keys take turns' : 'by priority, then by time'}</dd>
      <dt>Arguments</dt>
      <dd>{checkArguments ? 'must fit a published schema' : 'are not checked'}</dd>
      <dt>Defaults</dt>
      <dd>{defaults === null ? "the coordinator's" : <code>{JSON.stringify(defaults)}</code>}</dd>
      <dt>Kept</dt>
      <dd>
        {retention === null
          ? "as the coordinator's settings say"
          : Object.entries(retention)
              .map(([name, ms]) => `${name.replace(/Ms$/, '')} for ${duration(ms)}`)
              .join(', ')}
      </dd>
      <dt>Prices</dt>
      <dd>{cost === null ? 'none' : <code>{JSON.stringify(cost)}</code>}</dd>
    </dl>
  );
}

function jobsOf(queue: string, ...statuses: string[]): string {
  const search = new URLSearchParams([...statuses.map((status) => ['status', status]), ['queue', queue]]);
  return `/jobs?${search}`;
}
