import { Button, Group } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Schedule } from '@baton/runner-sdk/protocol';
import { Link } from 'wouter';
import { all } from '../../api/reads';
import { useRights } from '../../api/session';
import { cronInWords } from '../../parts/cron';
import { count, duration, visible, zonedTime } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Empty, Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { Time } from '../../parts/time';
import { useScheduleActions } from './use-schedule-actions';

const TONES = { active: 'good', paused: 'warning', ended: 'quiet' } as const;
const REFRESH_MS = 5000;

export function Schedules() {
  const { isClient } = useRights();
  const { pause, resume, run } = useScheduleActions();
  const schedules = useQuery({
    queryKey: ['schedules'],
    queryFn: ({ signal }) => all<Schedule>(['schedules'], {}, signal),
    refetchInterval: REFRESH_MS,
  });
  const columns: TableColumn<Schedule>[] = [
    {
      key: 'name',
      header: 'Name',
      cell: ({ id, name }) => <Link href={`/schedules/${id}`}>{visible(name)}</Link>,
    },
    { key: 'status', header: 'Status', cell: ({ status }) => <ScheduleStatus status={status} /> },
    { key: 'times', header: 'Ticks', cell: (schedule) => timesInWords(schedule) },
    { key: 'next', header: 'Next', isNumber: true, cell: (schedule) => <NextTick schedule={schedule} /> },
    {
      key: 'last',
      header: 'Last',
      isNumber: true,
      isMinor: true,
      cell: ({ lastTickAt }) => <Time at={lastTickAt} empty="never" />,
    },
    {
      key: 'type',
      header: 'Creates',
      isMinor: true,
      cell: ({ job }) => <Link href={`/jobs?type=${encodeURIComponent(job.type)}`}>{visible(job.type)}</Link>,
    },
    {
      key: 'runs',
      header: 'Jobs',
      isNumber: true,
      isMinor: true,
      cell: ({ id, runs }) => (
        <Link href={`/jobs?scheduleId=${id}`} className="plain">
          {count(runs)}
        </Link>
      ),
    },
    ...(isClient
      ? [
          {
            key: 'actions',
            header: <span className="hidden">Actions</span>,
            isNumber: true,
            cell: (schedule: Schedule) => (
              <Group gap={6} justify="flex-end" wrap="nowrap">
                <Button
                  size="compact-xs"
                  variant="default"
                  onClick={() => void run.run(schedule.id)}
                  aria-label={`Run now: ${schedule.name}`}
                >
                  Run now
                </Button>
                {schedule.status === 'paused' ? (
                  <Button
                    size="compact-xs"
                    variant="default"
                    onClick={() => void resume.run(schedule.id)}
                    aria-label={`Resume ${schedule.name}`}
                  >
                    Resume
                  </Button>
                ) : (
                  <Button
                    size="compact-xs"
                    variant="default"
                    disabled={schedule.status === 'ended'}
                    onClick={() => void pause(schedule)}
                    aria-label={`Pause ${schedule.name}`}
                  >
                    Pause
                  </Button>
                )}
              </Group>
            ),
          },
        ]
      : []),
  ];
  return (
    <Page
      title="Schedules"
      actions={
        isClient && (
          <Button component={Link} href="/jobs/new?schedule" size="xs" leftSection={<Icon name="plus" size={14} />}>
            New schedule
          </Button>
        )
      }
    >
      <Found query={schedules}>
        {(found) => (
          <Table
            label="Schedules"
            rows={found}
            columns={columns}
            keyOf={({ id }) => id}
            isDimmed={({ status }) => status === 'ended'}
            empty={
              <Empty title="No schedule yet.">
                A schedule creates a job at each of its times: by a cron expression in a time zone, or every so often.{' '}
                {isClient && <Link href="/jobs/new?schedule">Make one</Link>}
              </Empty>
            }
          />
        )}
      </Found>
    </Page>
  );
}

export function ScheduleStatus({ status }: Pick<Schedule, 'status'>) {
  return <Word tone={TONES[status]}>{status}</Word>;
}

export function timesInWords({ cron, everyMs, timezone }: Pick<Schedule, 'cron' | 'everyMs' | 'timezone'>): string {
  if (cron === null) return `every ${duration(everyMs)}`;
  const words = cronInWords(cron) ?? cron;
  return timezone === 'UTC' ? words : `${words}, ${timezone}`;
}

/** How long it is still; on hover, when that is where the schedule is. */
export function NextTick({ schedule: { nextAt, timezone } }: { schedule: Pick<Schedule, 'nextAt' | 'timezone'> }) {
  if (nextAt === null) return <>–</>;
  return (
    <span title={`${zonedTime(nextAt, timezone)} in ${timezone}`}>
      <Time at={nextAt} />
    </span>
  );
}
