import { Button } from '@mantine/core';
import type { RunnerView } from '@baton/runner-sdk/protocol';
import { Link } from 'wouter';
import { post } from '../../api/call';
import { useRunners } from '../../api/reads';
import { useRights } from '../../api/session';
import { isJobEvent } from '../../live/feed';
import { useLiveRefresh } from '../../live/use-live';
import { useConfirm } from '../../parts/confirm';
import { CodeLine } from '../../parts/copy';
import { count, exactTime, plural, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Empty, Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import { apiUrl } from '../../place';
import classes from './runners.module.css';

const REFRESH_MS = 2000;
const TONES = { active: 'good', draining: 'warning', lost: 'bad', stopped: 'quiet' } as const;
const ORDER: readonly RunnerView['status'][] = ['lost', 'draining', 'active', 'stopped'];
const MOST_NAMED = 4;

export function Runners() {
  const { isAdmin } = useRights();
  const runners = useRunners();
  const confirm = useConfirm();
  const drain = useAction((id: string) => post<RunnerView>(['runners', id, 'drain']), [['runners']]);
  const resume = useAction((id: string) => post<RunnerView>(['runners', id, 'resume']), [['runners']]);
  useLiveRefresh(['runners'], REFRESH_MS, (event) => isJobEvent(event) && event.name !== 'job.log');

  const askToDrain = async ({ id, running }: RunnerView): Promise<void> => {
    const answer = await confirm({
      title: `Drain ${visible(id)}?`,
      text: `It is given no more jobs${running > 0 ? `, and ends the ${plural(running, 'job')} that it has` : ''}. It can be resumed.`,
      action: 'Drain',
    });
    if (answer !== null) await drain.run(id);
  };

  const columns: TableColumn<RunnerView>[] = [
    {
      key: 'id',
      header: 'Runner',
      cell: ({ id }) => (
        <Link href={`/jobs?runnerId=${encodeURIComponent(id)}`} className="mono">
          {visible(id)}
        </Link>
      ),
    },
    { key: 'status', header: 'Status', cell: ({ status }) => <Word tone={TONES[status]}>{status}</Word> },
    {
      key: 'running',
      header: 'Running',
      isNumber: true,
      cell: ({ id, running }) => (
        <Link href={`/jobs?status=running&runnerId=${encodeURIComponent(id)}`} className="plain">
          {count(running)}
        </Link>
      ),
    },
    {
      key: 'types',
      header: 'Takes',
      isMinor: true,
      cell: ({ types, queues }) => <Takes types={types} queues={queues} />,
    },
    { key: 'labels', header: 'Labels', isMinor: true, cell: ({ labels }) => <Labels labels={labels} /> },
    { key: 'version', header: 'Version', isMinor: true, cell: ({ version }) => visible(version ?? '') },
    { key: 'protocol', header: 'Protocol', isMinor: true, cell: ({ protocol }) => protocol },
    { key: 'seen', header: 'Seen', isNumber: true, cell: ({ lastSeenAt }) => <Time at={lastSeenAt} /> },
    {
      key: 'first',
      header: 'Since',
      isNumber: true,
      isMinor: true,
      cell: ({ firstSeenAt }) => <Time at={firstSeenAt} />,
    },
    ...(isAdmin
      ? [
          {
            key: 'actions',
            header: <span className="hidden">Actions</span>,
            isNumber: true,
            cell: (runner: RunnerView) =>
              runner.drainingSince === null ? (
                <Button
                  size="compact-xs"
                  variant="default"
                  disabled={runner.status === 'stopped'}
                  onClick={() => void askToDrain(runner)}
                  aria-label={`Drain ${runner.id}`}
                >
                  Drain
                </Button>
              ) : (
                <Button
                  size="compact-xs"
                  variant="default"
                  title={`Draining since ${exactTime(runner.drainingSince)}`}
                  onClick={() => void resume.run(runner.id)}
                  aria-label={`Resume ${runner.id}`}
                >
                  Resume
                </Button>
              ),
          },
        ]
      : []),
  ];
  return (
    <Page title="Runners">
      <Found query={runners}>
        {(found) => (
          <Table
            label="Runners"
            rows={[...found].sort(
              (one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status) || other.running - one.running,
            )}
            columns={columns}
            keyOf={({ id }) => id}
            isDimmed={({ status }) => status === 'stopped'}
            empty={<NoRunners />}
          />
        )}
      </Found>
    </Page>
  );
}

function Takes({ types, queues }: Pick<RunnerView, 'types' | 'queues'>) {
  const shown = types.slice(0, MOST_NAMED).map(visible).join(', ');
  const more = types.length > MOST_NAMED ? ` and ${types.length - MOST_NAMED} more` : '';
  return (
    <span title={types.join(', ')}>
      {shown}
      {more}
      {queues !== null && <span className={classes.quiet}> in {queues.map(visible).join(', ')}</span>}
    </span>
  );
}

function Labels({ labels }: Pick<RunnerView, 'labels'>) {
  return (
    <span className={classes.labels}>
      {Object.entries(labels).map(([name, value]) => (
        <span key={name} className={classes.label}>
          {visible(name)} {visible(String(value))}
        </span>
      ))}
    </span>
  );
}

function NoRunners() {
  return (
    <Empty title="No runner has been here.">
      <p>
        A runner is any program that claims jobs over HTTP, on any host. <Icon name="runner" /> It needs a key of the
        role runner:
      </p>
      <CodeLine
        code={`curl -X POST ${apiUrl}jobs/claim -H "Authorization: Bearer $RUNNER_KEY" -H 'Content-Type: application/json' \\\n  -d '{"runnerId":"my-host","types":["example"],"waitMs":30000}'`}
      />
    </Empty>
  );
}
