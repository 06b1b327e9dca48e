import { Button, Group } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { CreatedWebhook, Webhook } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { Link } from 'wouter';
import { patch } from '../../api/call';
import { all } from '../../api/reads';
import { visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Empty, Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import { SecretDialog } from './secret-dialog';
import { WebhookDialog } from './webhook-dialog';

export function Webhooks() {
  const [isAdding, setAdding] = useState(false);
  const [created, setCreated] = useState<CreatedWebhook | null>(null);
  const webhooks = useQuery({
    queryKey: ['webhooks'],
    queryFn: ({ signal }) => all<Webhook>(['webhooks'], {}, signal),
    refetchInterval: 15_000,
  });
  const enable = useAction(
    ({ id, enabled }: Webhook) => patch<Webhook>(['webhooks', id], { enabled: !enabled }),
    [['webhooks']],
  );
  const columns: TableColumn<Webhook>[] = [
    {
      key: 'url',
      header: 'Address',
      cell: ({ id, url }) => (
        <Link href={`/webhooks/${id}`} className="mono">
          {visible(url)}
        </Link>
      ),
    },
    { key: 'state', header: 'State', cell: (webhook) => <WebhookState webhook={webhook} /> },
    { key: 'events', header: 'Events', isMinor: true, cell: ({ events }) => events.join(', ') },
    {
      key: 'owner',
      header: 'Of',
      isMinor: true,
      cell: ({ userId }) => (userId === null ? 'the installation' : visible(userId)),
    },
    { key: 'note', header: 'Note', isMinor: true, cell: ({ description }) => visible(description ?? '') },
    { key: 'made', header: 'Made', isNumber: true, isMinor: true, cell: ({ createdAt }) => <Time at={createdAt} /> },
    {
      key: 'actions',
      header: <span className="hidden">Actions</span>,
      isNumber: true,
      cell: (webhook) => (
        <Group gap={6} justify="flex-end" wrap="nowrap">
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => void enable.run(webhook)}
            aria-label={`${webhook.enabled ? 'Disable' : 'Enable'} ${webhook.url}`}
          >
            {webhook.enabled ? 'Disable' : 'Enable'}
          </Button>
        </Group>
      ),
    },
  ];
  return (
    <Page
      title="Webhooks"
      actions={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
          New webhook
        </Button>
      }
    >
      <Found query={webhooks}>
        {(found) => (
          <Table
            label="Webhooks"
            rows={found}
            columns={columns}
            keyOf={({ id }) => id}
            isDimmed={({ enabled }) => !enabled}
            empty={
              <Empty title="No webhook yet.">
                A webhook is told of events by signed HTTP posts (Standard Webhooks), again and again until it takes
                them.
              </Empty>
            }
          />
        )}
      </Found>
      {isAdding && <WebhookDialog webhook={null} onClose={() => setAdding(false)} onCreated={setCreated} />}
      <SecretDialog secret={created?.secret ?? null} onClose={() => setCreated(null)} />
    </Page>
  );
}

const WHY_DISABLED = {
  by_hand: 'somebody disabled it',
  gone: 'it answered 410 Gone',
  failing: 'nothing could be delivered for long',
  backlog: 'too many deliveries waited',
} as const;

export function WebhookState({ webhook: { enabled, disabledReason, failingSince } }: { webhook: Webhook }) {
  if (!enabled)
    return (
      <span title={disabledReason === null ? undefined : WHY_DISABLED[disabledReason]}>
        <Word tone="quiet">disabled</Word>
      </span>
    );
  if (failingSince !== null) return <Word tone="bad">failing</Word>;
  return <Word tone="good">good</Word>;
}
