import { NumberInput, Select, SimpleGrid, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { Alert, AlertMeasure } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { patch, post } from '../../api/call';
import { DurationInput } from '../../parts/duration-input';
import { FormDialog } from '../../parts/form';
import { MEASURES } from './measures';

const WINDOW_MS = 300_000;

/** Makes an alert, or changes one. Null: a new one. */
export function AlertDialog({ alert, onClose }: { alert: Alert | null; onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState(alert?.name ?? '');
  const [measure, setMeasure] = useState<AlertMeasure>(alert?.measure ?? 'failureRate');
  const [threshold, setThreshold] = useState<number | null>(alert?.threshold ?? null);
  const [windowMs, setWindowMs] = useState<number | null>(alert?.windowMs ?? WINDOW_MS);
  const [forMs, setForMs] = useState<number | null>(alert?.forMs ?? 0);
  const [queue, setQueue] = useState(alert?.queue ?? '');
  const [type, setType] = useState(alert?.type ?? '');
  const [message, setMessage] = useState(alert?.message ?? '');
  const isDuration = measure.endsWith('Ms');

  const save = async (): Promise<void> => {
    const wanted = {
      name: name.trim(),
      measure,
      threshold,
      windowMs: windowMs ?? WINDOW_MS,
      forMs: forMs ?? 0,
      queue: orNull(queue),
      type: orNull(type),
      message: orNull(message),
    };
    if (alert === null) await post(['alerts'], wanted);
    else await patch(['alerts', alert.id], wanted);
    await client.invalidateQueries({ queryKey: ['alerts'] });
  };

  return (
    <FormDialog
      title={alert === null ? 'New alert' : 'Change the alert'}
      action="Save"
      onClose={onClose}
      onSubmit={save}
      isReady={name.trim() !== '' && threshold !== null}
      size="lg"
    >
      {(faults) => (
        <>
          <TextInput
            label="Name"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={faults.get('name')}
            required
            data-autofocus
          />
          <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
            <Select
              label="Measures"
              data={Object.entries(MEASURES).map(([value, label]) => ({ value, label }))}
              value={measure}
              onChange={(next) => {
                setMeasure((next ?? 'failureRate') as AlertMeasure);
                setThreshold(null);
              }}
              allowDeselect={false}
              error={faults.get('measure')}
            />
            {isDuration ? (
              <DurationInput
                key={measure}
                label="Fires over"
                value={threshold}
                onChange={setThreshold}
                error={faults.get('threshold')}
                required
              />
            ) : (
              <NumberInput
                key={measure}
                label="Fires over"
                suffix={measure === 'failureRate' ? ' %' : ''}
                value={threshold === null ? '' : measure === 'failureRate' ? threshold * 100 : threshold}
                onChange={(next) =>
                  setThreshold(typeof next !== 'number' ? null : measure === 'failureRate' ? next / 100 : next)
                }
                min={0}
                error={faults.get('threshold')}
                required
              />
            )}
            <DurationInput label="Looks back" value={windowMs} onChange={setWindowMs} error={faults.get('windowMs')} />
            <DurationInput
              label="Must last"
              description="Before it fires"
              value={forMs}
              onChange={setForMs}
              error={faults.get('forMs')}
            />
            <TextInput
              label="Only in the queue"
              placeholder="all"
              value={queue}
              onChange={(event) => setQueue(event.currentTarget.value)}
              error={faults.get('queue')}
            />
            <TextInput
              label="Only of the type"
              placeholder="all"
              value={type}
              onChange={(event) => setType(event.currentTarget.value)}
              error={faults.get('type')}
            />
          </SimpleGrid>
          <TextInput
            label="Message"
            description="Sent with the notification"
            value={message}
            onChange={(event) => setMessage(event.currentTarget.value)}
            error={faults.get('message')}
          />
        </>
      )}
    </FormDialog>
  );
}

function orNull(text: string): string | null {
  return text.trim() === '' ? null : text.trim();
}
