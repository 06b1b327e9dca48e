import { useQueryClient } from '@tanstack/react-query';
import type { Schedule } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { patch } from '../../api/call';
import { FormDialog } from '../../parts/form';
import { JsonField, readJson } from '../../parts/json-field';
import { visible } from '../../parts/format';
import { Timing, timingBody, type TimingDraft } from '../new-job/timing';

export function EditSchedule({ schedule, onClose }: { schedule: Schedule; onClose: () => void }) {
  const client = useQueryClient();
  const { name, cron, everyMs, timezone, overlap, catchUp } = schedule;
  const [timing, setTiming] = useState<TimingDraft>({
    name,
    kind: cron === null ? 'every' : 'cron',
    cron: cron ?? '0 * * * *',
    everyMs,
    timezone,
    overlap,
    catchUp,
  });
  const written = JSON.stringify(schedule.job, null, 2);
  const [text, setText] = useState(written);
  const read = readJson(text);
  const save = async (): Promise<void> => {
    await patch(['schedules', schedule.id], {
      ...timingBody(timing),
      // Whoever sets the job is whose key its jobs are created with, so it is not sent for nothing.
      ...(text === written || !read.isValid ? {} : { job: read.value }),
    });
    await client.invalidateQueries();
  };
  return (
    <FormDialog
      title={`Change ${visible(name)}`}
      action="Save"
      onClose={onClose}
      onSubmit={save}
      isReady={timing.name.trim() !== '' && read.isValid}
      size="xl"
    >
      {(faults) => (
        <>
          <Timing timing={timing} onChange={setTiming} faults={faults} />
          <JsonField label="What it creates" value={text} onChange={setText} error={faults.get('job')} />
        </>
      )}
    </FormDialog>
  );
}
