import { MultiSelect, TagsInput, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { CreatedWebhook, Webhook, WebhookEventName } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { patch, post } from '../../api/call';
import { useRights } from '../../api/session';
import { FormDialog } from '../../parts/form';

const OF_JOBS: readonly WebhookEventName[] = [
  'job.created',
  'job.claimed',
  'job.progress',
  'job.log',
  'job.completed',
  'job.failed',
  'job.retrying',
  'job.released',
  'job.cancelled',
  'job.requeued',
];
const OF_ADMINS: readonly WebhookEventName[] = ['alert.firing', 'alert.resolved', 'webhook.disabled'];

/** Makes a webhook, or changes one. Null: a new one. */
export function WebhookDialog({
  webhook,
  onClose,
  onCreated,
}: {
  webhook: Webhook | null;
  onClose: () => void;
  onCreated?: (webhook: CreatedWebhook) => void;
}) {
  const { isAdmin } = useRights();
  const client = useQueryClient();
  const [url, setUrl] = useState(webhook?.url ?? '');
  const [events, setEvents] = useState<string[]>(webhook?.events ?? ['job.completed', 'job.failed']);
  const [description, setDescription] = useState(webhook?.description ?? '');
  const [queues, setQueues] = useState<string[]>(webhook?.filter.queue ?? []);
  const [types, setTypes] = useState<string[]>(webhook?.filter.type ?? []);
  const save = async (): Promise<void> => {
    const wanted = {
      url: url.trim(),
      events,
      description: description.trim() === '' ? null : description.trim(),
      filter: {
        ...(queues.length === 0 ? {} : { queue: queues }),
        ...(types.length === 0 ? {} : { type: types }),
        ...(webhook?.filter.userId === undefined ? {} : { userId: webhook.filter.userId }),
      },
    };
    if (webhook !== null) await patch(['webhooks', webhook.id], wanted);
    else onCreated?.(await post<CreatedWebhook>(['webhooks'], wanted));
    await client.invalidateQueries();
  };
  return (
    <FormDialog
      title={webhook === null ? 'New webhook' : 'Change the webhook'}
      action="Save"
      onClose={onClose}
      onSubmit={save}
      isReady={url.trim() !== '' && events.length > 0}
    >
      {(faults) => (
        <>
          <TextInput
            label="Address"
            placeholder="https://app.example.com/hooks"
            value={url}
            onChange={(event) => setUrl(event.currentTarget.value)}
            error={faults.get('url')}
            required
            data-autofocus
          />
          <MultiSelect
            label="Events"
            data={[...OF_JOBS, ...(isAdmin ? OF_ADMINS : [])]}
            value={events}
            onChange={setEvents}
            error={faults.get('events')}
            searchable
            required
          />
          <TagsInput
            label="Only of jobs in these queues"
            placeholder="all"
            value={queues}
            onChange={setQueues}
            error={faults.get('filter.queue')}
          />
          <TagsInput
            label="Only of jobs of these types"
            placeholder="all"
            value={types}
            onChange={setTypes}
            error={faults.get('filter.type')}
          />
          <TextInput
            label="Note"
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
            error={faults.get('description')}
            maxLength={500}
          />
        </>
      )}
    </FormDialog>
  );
}
