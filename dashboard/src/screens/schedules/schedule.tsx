import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Schedule, ScheduleTick } from '@baton/runner-sdk/protocol';
import { useMemo, useState } from 'react';
import { Link, useLocation } from 'wouter';
import { get, remove } from '../../api/call';
import { useRights } from '../../api/session';
import { useConfirm } from '../../parts/confirm';
import { duration, exactTime, shortId, visible, zonedTime } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Json } from '../../parts/json';
import { tellFailure } from '../../parts/notify';
import { Card, Empty, Failure, Found, Page } from '../../parts/page';
import { usePages } from '../../parts/pages';
import { Word } from '../../parts/status';
import { Time } from '../../parts/time';
import { type Column, VirtualTable } from '../../parts/virtual-table';
import { BackfillDialog } from './backfill-dialog';
import { EditSchedule } from './edit-schedule';
import classes from './schedule.module.css';
import { NextTick, ScheduleStatus, timesInWords } from './schedules';
import { useScheduleActions } from './use-schedule-actions';

const TONES = { created: 'good', skipped: 'quiet', buffered: 'busy', refused: 'bad' } as const;
const OVERLAPS = {
  allow: 'the next is created all the same',
  skip: 'the tick is skipped',
  buffer_one: 'one tick waits',
  cancel_previous: 'the earlier one is cancelled',
} as const;
const CATCH_UPS = { none: 'are skipped', latest: 'are made up for by one', all: 'are all made up for' } as const;

export function ScheduleScreen({ id }: { id: string }) {
  const { isClient } = useRights();
  const [, navigate] = useLocation();
  const confirm = useConfirm();
  const { pause, resume, run } = useScheduleActions();
  const [dialog, setDialog] = useState<'edit' | 'backfill' | null>(null);
  const schedule = useQuery({
    queryKey: ['schedule', id],
    queryFn: ({ signal }) => get<Schedule>(['schedules', id], {}, signal),
    refetchInterval: 5000,
  });

  const askToDelete = async ({ name }: Schedule): Promise<void> => {
    const answer = await confirm({
      title: `Delete the schedule ${visible(name)}?`,
      text: 'Its history goes with it; the jobs that it created stay. This cannot be undone.',
      action: 'Delete the schedule',
      isDangerous: true,
    });
    if (answer === null) return;
    try {
      await remove(['schedules', id]);
      navigate('/schedules');
    } catch (error) {
      tellFailure(error);
    }
  };

  return (
    <Found query={schedule}>
      {(found) => (
        <Page
          title={visible(found.name)}
          note={
            <span className={classes.note}>
              <ScheduleStatus status={found.status} /> {timesInWords(found)}
            </span>
          }
          actions={
            isClient && (
              <>
                <Button
                  size="xs"
                  leftSection={<Icon name="bolt" size={14} />}
                  loading={run.isRunning}
                  onClick={() => void run.run(id)}
                >
                  Run now
                </Button>
                {found.status === 'paused' ? (
                  <Button
                    size="xs"
                    variant="default"
                    leftSection={<Icon name="play" size={14} />}
                    onClick={() => void resume.run(id)}
                  >
                    Resume
                  </Button>
                ) : (
                  <Button
                    size="xs"
                    variant="default"
                    disabled={found.status === 'ended'}
                    leftSection={<Icon name="pause" size={14} />}
                    onClick={() => void pause(found)}
                  >
                    Pause
                  </Button>
                )}
                <Button size="xs" variant="default" onClick={() => setDialog('backfill')}>
                  Backfill
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  leftSection={<Icon name="edit" size={14} />}
                  onClick={() => setDialog('edit')}
                >
                  Change
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  leftSection={<Icon name="remove" size={14} />}
                  onClick={() => void askToDelete(found)}
                >
                  Delete
                </Button>
              </>
            )
          }
        >
          <div className={classes.columns}>
            <div className={classes.stack}>
              {found.paused !== null && (
                <Card>
                  Paused by <strong>{visible(found.paused.by)}</strong> <Time at={found.paused.at} />
                  {found.paused.reason !== null && <>: {visible(found.paused.reason)}</>}
                </Card>
              )}
              <Ticks id={id} />
            </div>
            <div className={classes.stack}>
              <NextTicks schedule={found} />
              <Card title="Policies">
                <dl className={classes.facts}>
                  <dt>Next</dt>
                  <dd>
                    <NextTick schedule={found} />
                  </dd>
                  <dt>While one runs</dt>
                  <dd>{OVERLAPS[found.overlap]}</dd>
                  <dt>Missed ticks</dt>
                  <dd>{CATCH_UPS[found.catchUp]}</dd>
                  <dt>Spread</dt>
                  <dd>{found.jitterMs === 0 ? 'none' : `up to ${duration(found.jitterMs)} late`}</dd>
                  <dt>From</dt>
                  <dd>{found.startsAt === null ? 'at once' : exactTime(found.startsAt)}</dd>
                  <dt>Until</dt>
                  <dd>
                    {found.endsAt === null ? 'no end' : exactTime(found.endsAt)}
                    {found.maxRuns !== null && `, or ${found.maxRuns} jobs`}
                  </dd>
                  <dt>Jobs</dt>
                  <dd>
                    <Link href={`/jobs?scheduleId=${id}`}>{found.runs}</Link>
                  </dd>
                </dl>
              </Card>
              <Card title="What it creates">
                <Json value={found.job} label="job of the schedule" />
              </Card>
            </div>
          </div>
          {dialog === 'edit' && <EditSchedule schedule={found} onClose={() => setDialog(null)} />}
          {dialog === 'backfill' && <BackfillDialog schedule={found} onClose={() => setDialog(null)} />}
        </Page>
      )}
    </Found>
  );
}

function NextTicks({ schedule }: { schedule: Schedule }) {
  const next = useQuery({
    queryKey: ['schedule', schedule.id, 'next', schedule.updatedAt, schedule.nextAt],
    queryFn: ({ signal }) => get<{ items: string[] }>(['schedules', schedule.id, 'next'], { count: 6 }, signal),
  });
  const isHere = Intl.DateTimeFormat().resolvedOptions().timeZone === schedule.timezone;
  return (
    <Card title={schedule.status === 'paused' ? 'Next, if it were resumed' : 'Next ticks'}>
      <Found query={next}>
        {({ items }) =>
          items.length === 0 ? (
            <span>It has none any more.</span>
          ) : (
            <ol className={classes.next}>
              {items.map((at) => (
                <li key={at}>
                  <span title={exactTime(at)}>{zonedTime(at, schedule.timezone)}</span>
                  <Time at={at} />
                </li>
              ))}
            </ol>
          )
        }
      </Found>
      {!isHere && <div className={classes.quiet}>Times in {schedule.timezone}; yours on hover.</div>}
    </Card>
  );
}

const COLUMNS: readonly Column<ScheduleTick>[] = [
  {
    key: 'outcome',
    header: 'Outcome',
    width: '6.5rem',
    cell: ({ outcome }) => <Word tone={TONES[outcome]}>{outcome}</Word>,
  },
  { key: 'at', header: 'Tick', width: 'minmax(6rem, 1fr)', cell: ({ at }) => <Time at={at} /> },
  {
    key: 'job',
    header: 'Job',
    width: '8rem',
    cell: ({ jobId }) =>
      jobId === null ? (
        ''
      ) : (
        <Link href={`/jobs/${jobId}`} className="mono">
          {shortId(jobId)}
        </Link>
      ),
  },
  {
    key: 'reason',
    header: 'Why',
    width: 'minmax(6rem, 2fr)',
    from: 520,
    cell: ({ message, reason }) => <span title={message ?? undefined}>{visible(message ?? reason ?? '')}</span>,
  },
  { key: 'trigger', header: 'By', width: '5rem', from: 640, cell: ({ trigger }) => trigger },
];

function Ticks({ id }: { id: string }) {
  const path = useMemo(() => ['schedules', id, 'ticks'], [id]);
  const ticks = usePages<ScheduleTick>(path, NO_FILTER, 5000);
  return (
    <Card title="Ticks" className={classes.ticks}>
      {ticks.error !== null && <Failure error={ticks.error} />}
      {ticks.data !== undefined && (
        <VirtualTable
          label="Ticks of the schedule"
          rows={ticks.data}
          columns={COLUMNS}
          keyOf={(tick) => `${tick.at} ${tick.trigger} ${tick.recordedAt}`}
          onEnd={ticks.readMore}
          isLoadingMore={ticks.isLoadingMore}
          empty={<Empty title="It has not ticked yet." />}
        />
      )}
    </Card>
  );
}

const NO_FILTER = {};
