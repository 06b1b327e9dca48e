import { Autocomplete, SegmentedControl, Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useDeferredValue, useMemo } from 'react';
import { post } from '../../api/call';
import { messageOf } from '../../api/problem';
import { DurationInput } from '../../parts/duration-input';
import type { Faults } from '../../parts/form';
import { cronInWords } from '../../parts/cron';
import { zonedTime } from '../../parts/format';
import classes from './new-job.module.css';

export interface TimingDraft {
  name: string;
  kind: 'cron' | 'every';
  cron: string;
  everyMs: number | null;
  timezone: string;
  overlap: 'allow' | 'skip' | 'buffer_one' | 'cancel_previous';
  catchUp: 'none' | 'latest' | 'all';
}

export const EVERY_HOUR: TimingDraft = {
  name: '',
  kind: 'cron',
  cron: '0 * * * *',
  everyMs: 3_600_000,
  timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  overlap: 'allow',
  catchUp: 'none',
};

export function timingBody({ name, kind, cron, everyMs, timezone, overlap, catchUp }: TimingDraft): object {
  return { name: name.trim(), ...timesOf({ kind, cron, everyMs }), timezone, overlap, catchUp };
}

function timesOf({ kind, cron, everyMs }: Pick<TimingDraft, 'kind' | 'cron' | 'everyMs'>): object {
  return kind === 'cron' ? { cron: cron.trim() } : { everyMs };
}

/** When a schedule ticks: what that means in words, and its next ticks, are told as it is typed. */
export function Timing({
  timing,
  onChange,
  faults,
  hasName = true,
}: {
  timing: TimingDraft;
  onChange: (timing: TimingDraft) => void;
  faults: Faults;
  hasName?: boolean;
}) {
  const change = (changes: Partial<TimingDraft>): void => onChange({ ...timing, ...changes });
  const zones = useMemo(() => ['UTC', ...Intl.supportedValuesOf('timeZone')], []);
  return (
    <>
      <div className={classes.pair}>
        {hasName && (
          <TextInput
            label="Name"
            value={timing.name}
            onChange={(event) => change({ name: event.currentTarget.value })}
            error={faults.get('name')}
            required
          />
        )}
        <div>
          <div className={classes.label}>Ticks</div>
          <SegmentedControl
            size="sm"
            fullWidth
            value={timing.kind}
            onChange={(kind) => change({ kind: kind === 'every' ? 'every' : 'cron' })}
            data={[
              { value: 'cron', label: 'by cron' },
              { value: 'every', label: 'at an interval' },
            ]}
            aria-label="How the ticks are said"
          />
        </div>
        {timing.kind === 'cron' ? (
          <TextInput
            label="Cron expression"
            description={cronInWords(timing.cron) ?? 'minute, hour, day of month, month, day of week'}
            value={timing.cron}
            onChange={(event) => change({ cron: event.currentTarget.value })}
            error={faults.get('cron')}
            styles={{ input: { fontFamily: 'var(--mono)' } }}
          />
        ) : (
          <DurationInput
            label="Every"
            value={timing.everyMs}
            onChange={(everyMs) => change({ everyMs })}
            error={faults.get('everyMs')}
          />
        )}
        <Autocomplete
          label="Time zone"
          data={zones}
          limit={20}
          value={timing.timezone}
          onChange={(timezone) => change({ timezone })}
          error={faults.get('timezone')}
        />
        <Select
          label="While an earlier job has not finished"
          data={[
            { value: 'allow', label: 'create the next all the same' },
            { value: 'skip', label: 'skip the tick' },
            { value: 'buffer_one', label: 'let one tick wait' },
            { value: 'cancel_previous', label: 'cancel the earlier one' },
          ]}
          value={timing.overlap}
          onChange={(overlap) => change({ overlap: overlap ?? 'allow' })}
          allowDeselect={false}
        />
        <Select
          label="Ticks that were missed"
          data={[
            { value: 'none', label: 'are skipped' },
            { value: 'latest', label: 'are made up for by one' },
            { value: 'all', label: 'are all made up for' },
          ]}
          value={timing.catchUp}
          onChange={(catchUp) => change({ catchUp: catchUp ?? 'none' })}
          allowDeselect={false}
        />
      </div>
      <Preview timing={timing} />
    </>
  );
}

function Preview({ timing }: { timing: TimingDraft }) {
  const asked = useDeferredValue(JSON.stringify({ ...timesOf(timing), timezone: timing.timezone, count: 5 }));
  const preview = useQuery({
    queryKey: ['schedule-preview', asked],
    queryFn: () => post<{ items: string[] }>(['schedules', 'preview'], JSON.parse(asked)),
    retry: false,
    staleTime: 30_000,
  });
  return (
    <div className={classes.preview} role="status">
      {preview.isError ? (
        <span className={classes.fault}>{messageOf(preview.error)}</span>
      ) : (
        <>
          Next:{' '}
          {preview.data === undefined
            ? '…'
            : preview.data.items.map((at) => zonedTime(at, timing.timezone)).join(', ') || 'never'}
        </>
      )}
    </div>
  );
}
