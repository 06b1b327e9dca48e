import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Batch, BatchResult } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { Link } from 'wouter';
import { get, post } from '../../api/call';
import { useRights } from '../../api/session';
import { useConfirm } from '../../parts/confirm';
import { count, plural, shortId, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Json } from '../../parts/json';
import { tell } from '../../parts/notify';
import { Card, Empty, Failure, Found, Page } from '../../parts/page';
import { usePages } from '../../parts/pages';
import { Status, STATUSES } from '../../parts/status';
import { StatusBar } from '../../parts/status-bar';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import { type Column, VirtualTable } from '../../parts/virtual-table';
import { BatchState } from './batches';
import classes from './batches.module.css';

/** Events do not tell of which batch a job is. */
const REFRESH_MS = 1500;
const RARELY_MS = 15_000;
const CALLBACKS = { onSuccess: 'all completed', onFailure: 'one did not', onComplete: 'all ended' } as const;
const KINDS = ['onSuccess', 'onFailure', 'onComplete'] as const;

export function BatchScreen({ id }: { id: string }) {
  const batch = useQuery({
    queryKey: ['batch', id],
    queryFn: ({ signal }) => get<Batch>(['batches', id], {}, signal),
    // One that has ended begins again when its failed jobs are retried.
    refetchInterval: ({ state }) => (state.data?.finishedAt === null ? REFRESH_MS : RARELY_MS),
  });
  return (
    <Found query={batch}>
      {(found) => (
        <Page
          title={found.name === null ? `Batch ${shortId(id)}` : visible(found.name)}
          note={
            <span className={classes.note}>
              <BatchState status={found.status} /> {Math.floor(found.percent)} % of {plural(found.counts.total, 'job')}{' '}
              ended
            </span>
          }
          actions={<Actions batch={found} />}
        >
          <div className={classes.columns}>
            <div className={classes.stack}>
              <Card title="Jobs by status">
                <StatusBar counts={found.counts} />
                <ul className={classes.counts}>
                  {STATUSES.filter((status) => found.counts[status] > 0).map((status) => (
                    <li key={status}>
                      <Link href={`/jobs?batchId=${id}&status=${status}`}>
                        <Status status={status} /> {count(found.counts[status])}
                      </Link>
                    </li>
                  ))}
                </ul>
              </Card>
              <Results id={id} hasEnded={found.finishedAt !== null} />
            </div>
            <div className={classes.stack}>
              <Details batch={found} />
              {found.metadata !== null && (
                <Card title="Metadata">
                  <Json value={found.metadata} label="metadata of the batch" />
                </Card>
              )}
            </div>
          </div>
        </Page>
      )}
    </Found>
  );
}

function Actions({ batch: { id, status, sealed, counts } }: { batch: Batch }) {
  const { isClient } = useRights();
  const confirm = useConfirm();
  const changes = [['batch', id], ['pages']];
  const seal = useAction(() => post<Batch>(['batches', id, 'seal']), changes);
  const cancel = useAction(
    (reason: string) => post<Batch>(['batches', id, 'cancel'], reason ? { reason } : {}),
    changes,
  );
  const retry = useAction(() => post<Batch & { retried: number | null }>(['batches', id, 'retry'], {}), changes);
  if (!isClient) return null;

  const waiting = counts.blocked + counts.pending + counts.running;
  const askToCancel = async (): Promise<void> => {
    const reason = await confirm({
      title: 'Cancel the batch?',
      text: `${plural(waiting, 'job')} that did not end yet will be cancelled; those that run are told to stop.`,
      action: 'Cancel the batch',
      asks: 'Reason',
      isDangerous: true,
    });
    if (reason !== null) await cancel.run(reason);
  };
  const askToRetry = async (): Promise<void> => {
    const answer = await confirm({
      title: `Retry ${plural(counts.failed, 'failed job')}?`,
      text: 'They start again, with all their attempts. Callbacks that were created already are not created again.',
      action: `Retry ${count(counts.failed)}`,
    });
    if (answer === null) return;
    const retried = await retry.run(undefined);
    if (retried?.retried === null) tell('The jobs are started again in the background.');
  };

  return (
    <>
      {!sealed && (
        <Button size="xs" leftSection={<Icon name="check" size={14} />} onClick={() => void seal.run(undefined)}>
          Seal
        </Button>
      )}
      {counts.failed > 0 && (
        <Button
          size="xs"
          variant="default"
          leftSection={<Icon name="retry" size={14} />}
          loading={retry.isRunning}
          onClick={() => void askToRetry()}
        >
          Retry the failed
        </Button>
      )}
      {(status === 'open' || status === 'running') && (
        <Button
          size="xs"
          variant="default"
          leftSection={<Icon name="cancel" size={14} />}
          loading={cancel.isRunning}
          onClick={() => void askToCancel()}
        >
          Cancel
        </Button>
      )}
    </>
  );
}

function Details({ batch }: { batch: Batch }) {
  const { callbacks, callbackErrors, createdAt, sealedAt, finishedAt, reason, userId } = batch;
  return (
    <Card title="Details">
      <dl className={classes.facts}>
        <dt>Created</dt>
        <dd>
          <Time at={createdAt} />
        </dd>
        <dt>Sealed</dt>
        <dd>{sealedAt === null ? 'no, jobs can be added' : <Time at={sealedAt} />}</dd>
        <dt>Ended</dt>
        <dd>
          <Time at={finishedAt} empty="not yet" />
        </dd>
        {userId !== null && (
          <>
            <dt>User</dt>
            <dd>{visible(userId)}</dd>
          </>
        )}
        {reason !== null && (
          <>
            <dt>Cancelled</dt>
            <dd>{visible(reason)}</dd>
          </>
        )}
        {KINDS.map((kind) => {
          const created = callbacks[kind];
          const error = callbackErrors[kind];
          if (created === undefined && error === undefined) return null;
          return (
            <div key={kind} style={{ display: 'contents' }}>
              <dt>When {CALLBACKS[kind]}</dt>
              <dd>
                {error !== undefined
                  ? visible(error.message)
                  : created === null || created === undefined
                    ? 'a job is created'
                    : null}
                {typeof created === 'string' && (
                  <Link href={`/jobs/${created}`} className="mono">
                    {shortId(created)}
                  </Link>
                )}
              </dd>
            </div>
          );
        })}
      </dl>
    </Card>
  );
}

const COLUMNS: readonly Column<BatchResult>[] = [
  {
    key: 'job',
    header: 'Job',
    width: '8rem',
    cell: ({ jobId }) => (
      <Link href={`/jobs/${jobId}`} className="mono">
        {shortId(jobId)}
      </Link>
    ),
  },
  { key: 'part', header: 'Part', width: '4rem', isNumber: true, from: 520, cell: ({ index }) => index ?? '–' },
  { key: 'status', header: 'Status', width: '7rem', cell: ({ status }) => <Status status={status} /> },
  {
    key: 'result',
    header: 'Result, or why it failed',
    width: 'minmax(8rem, 3fr)',
    cell: ({ result, error, status }) => {
      const text = status === 'completed' ? JSON.stringify(result) : (error?.message ?? '');
      return (
        <span className={classes.cut} title={visible(text.slice(0, 500))}>
          {visible(text.slice(0, 200))}
        </span>
      );
    },
  },
];

function Results({ id, hasEnded }: { id: string; hasEnded: boolean }) {
  const path = useMemo(() => ['batches', id, 'results'], [id]);
  const results = usePages<BatchResult>(path, NO_FILTER, hasEnded ? undefined : 5000);
  return (
    <Card title="Results" className={classes.results}>
      {results.error !== null && <Failure error={results.error} />}
      {results.data !== undefined && (
        <VirtualTable
          label="Results of the batch"
          rows={results.data}
          columns={COLUMNS}
          keyOf={({ jobId }) => jobId}
          onEnd={results.readMore}
          isLoadingMore={results.isLoadingMore}
          empty={<Empty title="It has no jobs." />}
        />
      )}
    </Card>
  );
}

const NO_FILTER = {};
