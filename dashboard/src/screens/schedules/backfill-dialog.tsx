import { Text, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { Backfilled, Schedule } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { post } from '../../api/call';
import { FormDialog } from '../../parts/form';
import { plural, visible } from '../../parts/format';
import { tell } from '../../parts/notify';

const DAY_MS = 86_400_000;

/** Creates the jobs of past ticks that have created none. */
export function BackfillDialog({ schedule, onClose }: { schedule: Schedule; onClose: () => void }) {
  const client = useQueryClient();
  const [from, setFrom] = useState(() => localText(Date.now() - DAY_MS));
  const [to, setTo] = useState(() => localText(Date.now()));
  const backfill = async (): Promise<void> => {
    const { count, existing, refused } = await post<Backfilled>(['schedules', schedule.id, 'backfill'], {
      from: new Date(from).toISOString(),
      to: new Date(Math.min(Date.now(), Date.parse(new Date(to).toISOString()))).toISOString(),
    });
    const others = [existing > 0 && `${existing} had theirs already`, refused > 0 && `${refused} were refused`];
    tell([`${plural(count, 'job')} created`, ...others.filter((each) => each !== false)].join(', ').concat('.'));
    await client.invalidateQueries();
  };
  return (
    <FormDialog
      title={`Make up for past ticks of ${visible(schedule.name)}`}
      action="Create their jobs"
      onClose={onClose}
      onSubmit={backfill}
      isReady={from !== '' && to !== ''}
    >
      {(faults) => (
        <>
          <Text size="sm" c="dimmed">
            Ticks that have created a job are left alone. Times are yours,{' '}
            {Intl.DateTimeFormat().resolvedOptions().timeZone}.
          </Text>
          <TextInput
            type="datetime-local"
            label="From"
            value={from}
            onChange={(event) => setFrom(event.currentTarget.value)}
            error={faults.get('from')}
          />
          <TextInput
            type="datetime-local"
            label="To"
            value={to}
            onChange={(event) => setTo(event.currentTarget.value)}
            error={faults.get('to')}
          />
        </>
      )}
    </FormDialog>
  );
}

/** As the input takes it: in the viewer's zone, without one. */
function localText(at: number): string {
  const offsetMs = new Date(at).getTimezoneOffset() * 60_000;
  return new Date(at - offsetMs).toISOString().slice(0, 16);
}
