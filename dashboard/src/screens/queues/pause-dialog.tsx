import { TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { post } from '../../api/call';
import { DurationInput } from '../../parts/duration-input';
import { FormDialog } from '../../parts/form';
import { visible } from '../../parts/format';

export function PauseDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState('');
  const [forMs, setForMs] = useState<number | null>(null);
  const pause = async (): Promise<void> => {
    await post(['queues', name, 'pause'], {
      ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
      ...(forMs === null ? {} : { untilAt: new Date(Date.now() + forMs).toISOString() }),
    });
    await client.invalidateQueries();
  };
  return (
    <FormDialog title={`Pause ${visible(name)}`} action="Pause" onClose={onClose} onSubmit={pause}>
      {(faults) => (
        <>
          <TextInput
            label="Reason"
            description="Shown to everybody who looks at the queue, and to jobs that wait in it"
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
            error={faults.get('reason')}
            maxLength={500}
            data-autofocus
          />
          <DurationInput
            label="For how long"
            description="Left empty: until somebody resumes it"
            value={forMs}
            onChange={setForMs}
            error={faults.get('untilAt')}
          />
        </>
      )}
    </FormDialog>
  );
}
