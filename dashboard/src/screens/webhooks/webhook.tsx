import { Button, SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { CreatedWebhook, Delivery, Webhook } from '@baton/runner-sdk/protocol';
import { useMemo, useState } from 'react';
import { Link, useLocation } from 'wouter';
import { get, post, remove } from '../../api/call';
import { useConfirm } from '../../parts/confirm';
import { duration, shortId, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { tell, tellFailure } from '../../parts/notify';
import { Card, Empty, Failure, Found, Loading, Page } from '../../parts/page';
import { usePages } from '../../parts/pages';
import { Word } from '../../parts/status';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import { type Column, VirtualTable } from '../../parts/virtual-table';
import { SecretDialog } from './secret-dialog';
import { WebhookDialog } from './webhook-dialog';
import { WebhookState } from './webhooks';

const TONES = { pending: 'busy', delivered: 'good', failed: 'bad' } as const;

/** One webhook, and what it was sent. */
export function WebhookScreen({ id }: { id: string }) {
  const confirm = useConfirm();
  const [, navigate] = useLocation();
  const [isEditing, setEditing] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const webhook = useQuery({
    queryKey: ['webhook', id],
    queryFn: ({ signal }) => get<Webhook>(['webhooks', id], {}, signal),
    refetchInterval: 15_000,
  });
  const test = useAction(() => post(['webhooks', id, 'test']), [['pages']]);
  const rotate = useAction(() => post<CreatedWebhook>(['webhooks', id, 'rotate'], {}), [['webhook', id]]);

  const askToRotate = async (): Promise<void> => {
    const answer = await confirm({
      title: 'Make a new secret?',
      text: 'Deliveries carry the signatures of both secrets for a day, so that receivers can change over.',
      action: 'Make a new secret',
    });
    if (answer === null) return;
    const rotated = await rotate.run(undefined);
    if (rotated !== undefined) setSecret(rotated.secret);
  };
  const askToDelete = async (): Promise<void> => {
    const answer = await confirm({
      title: 'Delete this webhook?',
      text: 'What it was sent is deleted too, and what waits is not sent any more. This cannot be undone.',
      action: 'Delete the webhook',
      isDangerous: true,
    });
    if (answer === null) return;
    try {
      await remove(['webhooks', id]);
      navigate('/webhooks');
    } catch (error) {
      tellFailure(error);
    }
  };

  return (
    <Found query={webhook}>
      {(found) => (
        <Page
          title={visible(found.url)}
          note={<WebhookState webhook={found} />}
          isTall
          actions={
            <>
              <Button
                size="xs"
                variant="default"
                loading={test.isRunning}
                leftSection={<Icon name="bolt" size={14} />}
                onClick={() =>
                  void test.run(undefined).then((sent) => sent !== undefined && tell('A test event is on its way.'))
                }
              >
                Test
              </Button>
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="edit" size={14} />}
                onClick={() => setEditing(true)}
              >
                Change
              </Button>
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="key" size={14} />}
                onClick={() => void askToRotate()}
              >
                New secret
              </Button>
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="remove" size={14} />}
                onClick={() => void askToDelete()}
              >
                Delete
              </Button>
            </>
          }
        >
          <Card>
            {found.events.join(', ')}
            {found.description !== null && <div>{visible(found.description)}</div>}
            {found.failingSince !== null && (
              <div>
                Nothing could be delivered since <Time at={found.failingSince} />.
              </div>
            )}
          </Card>
          <Deliveries id={id} />
          {isEditing && <WebhookDialog webhook={found} onClose={() => setEditing(false)} />}
          <SecretDialog secret={secret} onClose={() => setSecret(null)} />
        </Page>
      )}
    </Found>
  );
}

function Deliveries({ id }: { id: string }) {
  const [status, setStatus] = useState('all');
  const path = useMemo(() => ['webhooks', id, 'deliveries'], [id]);
  const query = useMemo(() => ({ status: status === 'all' ? null : status }), [status]);
  const deliveries = usePages<Delivery>(path, query, 3000);
  const resend = useAction(
    (delivery: Delivery) => post<Delivery>(['webhooks', id, 'deliveries', delivery.id, 'resend']),
    [['pages']],
  );
  const columns: Column<Delivery>[] = [
    {
      key: 'status',
      header: 'Status',
      width: '6.5rem',
      cell: (delivery) => <Word tone={TONES[delivery.status]}>{delivery.status}</Word>,
    },
    { key: 'event', header: 'Event', width: 'minmax(7rem, 1fr)', cell: ({ event }) => visible(event) },
    {
      key: 'job',
      header: 'Job',
      width: '8rem',
      from: 620,
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
      key: 'answer',
      header: 'Answer',
      width: 'minmax(7rem, 2fr)',
      cell: ({ responseStatus, error }) => (
        <span title={error ?? undefined}>
          {responseStatus ?? ''} {error === null ? '' : visible(error)}
        </span>
      ),
    },
    { key: 'attempts', header: 'Sent', width: '4rem', isNumber: true, from: 760, cell: ({ attempts }) => attempts },
    {
      key: 'took',
      header: 'Took',
      width: '5rem',
      isNumber: true,
      from: 860,
      cell: ({ durationMs }) => duration(durationMs),
    },
    {
      key: 'at',
      header: 'Last sent',
      width: '6rem',
      isNumber: true,
      cell: ({ attemptedAt, nextAt }) => (attemptedAt === null ? <Time at={nextAt} /> : <Time at={attemptedAt} />),
    },
    {
      key: 'resend',
      header: 'Again',
      width: '5.5rem',
      isNumber: true,
      cell: (delivery) =>
        delivery.status === 'pending' ? null : (
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => void resend.run(delivery).then((sent) => sent !== undefined && tell('It is sent again.'))}
            aria-label={`Resend ${delivery.id}`}
          >
            Resend
          </Button>
        ),
    },
  ];
  return (
    <>
      <SegmentedControl
        size="xs"
        my="sm"
        value={status}
        onChange={setStatus}
        data={['all', 'pending', 'delivered', 'failed']}
        aria-label="Which deliveries"
        style={{ alignSelf: 'flex-start' }}
      />
      {deliveries.error !== null && <Failure error={deliveries.error} />}
      {deliveries.isPending && deliveries.error === null && <Loading />}
      {deliveries.data !== undefined && (
        <VirtualTable
          label="Deliveries"
          rows={deliveries.data}
          columns={columns}
          keyOf={(delivery) => delivery.id}
          onEnd={deliveries.readMore}
          isLoadingMore={deliveries.isLoadingMore}
          empty={<Empty title="Nothing was sent yet.">Test sends an event now.</Empty>}
        />
      )}
    </>
  );
}
