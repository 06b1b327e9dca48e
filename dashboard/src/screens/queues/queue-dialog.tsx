import { NumberInput, SimpleGrid, Switch, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { Queue } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { put } from '../../api/call';
import { DurationInput } from '../../parts/duration-input';
import { type Faults, FormDialog } from '../../parts/form';
import { visible } from '../../parts/format';

type Limit = number | null;

/** A rate as a form has it: one of the two may be missing while it is typed. */
interface Rate {
  max: Limit;
  perMs: Limit;
}

const NO_RATE: Rate = { max: null, perMs: null };

/** Sets up a queue, or changes its limits and defaults. Null: a new one. */
export function QueueDialog({ queue, onClose }: { queue: Queue | null; onClose: () => void }) {
  const client = useQueryClient();
  const start: Partial<Queue> = queue ?? {};
  const [name, setName] = useState('');
  const [concurrency, setConcurrency] = useState<Limit>(start.concurrency ?? null);
  const [perKey, setPerKey] = useState<Limit>(start.concurrencyPerKey ?? null);
  const [rate, setRate] = useState<Rate>(start.rateLimit ?? NO_RATE);
  const [keyRate, setKeyRate] = useState<Rate>(start.keyRateLimit ?? NO_RATE);
  const [userRate, setUserRate] = useState<Rate>(start.userRateLimit ?? NO_RATE);
  const [maxWaiting, setMaxWaiting] = useState<Limit>(start.maxWaiting ?? null);
  const [checksArguments, setChecksArguments] = useState(start.checkArguments ?? false);
  const [isFair, setFair] = useState(start.fair ?? true);
  const [attempts, setAttempts] = useState<Limit>(start.defaults?.maxAttempts ?? null);
  const [timeoutMs, setTimeoutMs] = useState<Limit>(start.defaults?.timeoutMs ?? null);
  const [completedMs, setCompletedMs] = useState<Limit>(start.retention?.completedMs ?? null);
  const [failedMs, setFailedMs] = useState<Limit>(start.retention?.failedMs ?? null);

  const save = async (): Promise<void> => {
    const defaults = present({ ...start.defaults, maxAttempts: attempts, timeoutMs });
    const retention = present({ ...start.retention, completedMs, failedMs });
    await put(['queues', queue?.name ?? name.trim()], {
      concurrency,
      concurrencyPerKey: perKey,
      rateLimit: whole(rate),
      keyRateLimit: whole(keyRate),
      userRateLimit: whole(userRate),
      maxWaiting,
      fair: isFair,
      checkArguments: checksArguments,
      defaults,
      retention,
    });
    await client.invalidateQueries();
  };

  return (
    <FormDialog
      title={queue === null ? 'Set up a queue' : `Limits of ${visible(queue.name)}`}
      action="Save"
      onClose={onClose}
      onSubmit={save}
      isReady={queue !== null || name.trim() !== ''}
      size="lg"
    >
      {(faults) => (
        <>
          {queue === null && (
            <TextInput
              label="Name"
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              required
              data-autofocus
              error={faults.get('name')}
            />
          )}
          <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
            <LimitInput
              label="Running at once"
              value={concurrency}
              onChange={setConcurrency}
              error={faults.get('concurrency')}
            />
            <LimitInput
              label="Running at once for each key"
              value={perKey}
              onChange={setPerKey}
              error={faults.get('concurrencyPerKey')}
            />
            <RateInputs label="Starts" field="rateLimit" rate={rate} onChange={setRate} faults={faults} />
            <RateInputs
              label="Starts for each key"
              field="keyRateLimit"
              rate={keyRate}
              onChange={setKeyRate}
              faults={faults}
            />
            <RateInputs
              label="Creates by each user"
              field="userRateLimit"
              rate={userRate}
              onChange={setUserRate}
              faults={faults}
            />
            <LimitInput
              label="Waiting at most"
              value={maxWaiting}
              onChange={setMaxWaiting}
              error={faults.get('maxWaiting')}
            />
            <LimitInput
              label="Attempts of jobs that name none"
              value={attempts}
              onChange={setAttempts}
              error={faults.get('defaults.maxAttempts')}
            />
            <DurationInput
              label="Time limit of jobs that name none"
              value={timeoutMs}
              onChange={setTimeoutMs}
              error={faults.get('defaults.timeoutMs')}
            />
            <DurationInput
              label="Completed jobs are kept for"
              value={completedMs}
              onChange={setCompletedMs}
              error={faults.get('retention.completedMs')}
            />
            <DurationInput
              label="Failed jobs are kept for"
              value={failedMs}
              onChange={setFailedMs}
              error={faults.get('retention.failedMs')}
            />
          </SimpleGrid>
          <Switch
            label="Users and keys take turns"
            checked={isFair}
            onChange={(event) => setFair(event.currentTarget.checked)}
          />
          <Switch
            label="Arguments must fit a schema that runners have published"
            checked={checksArguments}
            onChange={(event) => setChecksArguments(event.currentTarget.checked)}
          />
        </>
      )}
    </FormDialog>
  );
}

/** How many, and in which time. */
function RateInputs({
  label,
  field,
  rate,
  onChange,
  faults,
}: {
  label: string;
  /** As the API calls it. */
  field: string;
  rate: Rate;
  onChange: (rate: Rate) => void;
  faults: Faults;
}) {
  return (
    <>
      <LimitInput
        label={label}
        value={rate.max}
        onChange={(max) => onChange({ ...rate, max })}
        error={faults.get(`${field}.max`) ?? faults.get(field)}
      />
      <DurationInput
        label="in"
        value={rate.perMs}
        onChange={(perMs) => onChange({ ...rate, perMs })}
        error={faults.get(`${field}.perMs`)}
      />
    </>
  );
}

function LimitInput({
  label,
  value,
  onChange,
  error,
}: {
  label: string;
  value: Limit;
  onChange: (value: Limit) => void;
  error?: string | undefined;
}) {
  return (
    <NumberInput
      label={label}
      value={value ?? ''}
      onChange={(next) => onChange(typeof next === 'number' ? next : null)}
      min={1}
      allowDecimal={false}
      placeholder="no limit"
      error={error}
    />
  );
}

/** Half a rate is none, unless the coordinator is to say what is missing. */
function whole({ max, perMs }: Rate): object | null {
  return max === null && perMs === null ? null : { max, perMs };
}

function present(all: Record<string, unknown>): object | null {
  const left = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== undefined));
  return Object.keys(left).length === 0 ? null : left;
}
