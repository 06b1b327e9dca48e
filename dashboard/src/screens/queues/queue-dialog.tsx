import { NumberInput, SimpleGrid, Switch, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { Queue } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { put } from '../../api/call';
import { DurationInput } from '../../parts/duration-input';
import { FormDialog } from '../../parts/form';
import { visible } from '../../parts/format';

type Limit = number | null;

/** A rate as a form has it: one of the two may be missing while it is typed. */
interface Rate {
  max: Limit;
  perMs: Limit;
}

/** Sets up a queue, or changes its limits and defaults. Null: a new one. */
export function QueueDialog({ queue, onClose }: { queue: Queue | null; onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState('');
  const [concurrency, setConcurrency] = useState<Limit>(queue?.concurrency ?? null);
  const [perKey, setPerKey] = useState<Limit>(queue?.concurrencyPerKey ?? null);
  const [rate, setRate] = useState<Rate>(queue?.rateLimit ?? { max: null, perMs: null });
  const [keyRate, setKeyRate] = useState<Rate>(queue?.keyRateLimit ?? { max: null, perMs: null });
  const [userRate, setUserRate] = useState<Rate>(queue?.userRateLimit ?? { max: null, perMs: null });
  const [maxWaiting, setMaxWaiting] = useState<Limit>(queue?.maxWaiting ?? null);
  const [checksArguments, setChecksArguments] = useState(queue?.checkArguments ?? false);
  const [isFair, setFair] = useState(queue?.fair ?? true);
  const [attempts, setAttempts] = useState<Limit>(queue?.defaults?.maxAttempts ?? null);
  const [timeoutMs, setTimeoutMs] = useState<Limit>(queue?.defaults?.timeoutMs ?? null);
  const [completedMs, setCompletedMs] = useState<Limit>(queue?.retention?.completedMs ?? null);
  const [failedMs, setFailedMs] = useState<Limit>(queue?.retention?.failedMs ?? null);

  const save = async (): Promise<void> => {
    const defaults = present({ ...queue?.defaults, maxAttempts: attempts, timeoutMs });
    const retention = present({ ...queue?.retention, completedMs, failedMs });
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
            <LimitInput
              label="Starts"
              value={rate.max}
              onChange={(max) => setRate({ ...rate, max })}
              error={faults.get('rateLimit.max') ?? faults.get('rateLimit')}
            />
            <DurationInput
              label="in"
              value={rate.perMs}
              onChange={(perMs) => setRate({ ...rate, perMs })}
              error={faults.get('rateLimit.perMs')}
            />
            <LimitInput
              label="Starts for each key"
              value={keyRate.max}
              onChange={(max) => setKeyRate({ ...keyRate, max })}
              error={faults.get('keyRateLimit.max') ?? faults.get('keyRateLimit')}
            />
            <DurationInput
              label="in"
              value={keyRate.perMs}
              onChange={(perMs) => setKeyRate({ ...keyRate, perMs })}
              error={faults.get('keyRateLimit.perMs')}
            />
            <LimitInput
              label="Creates by each user"
              value={userRate.max}
              onChange={(max) => setUserRate({ ...userRate, max })}
              error={faults.get('userRateLimit.max') ?? faults.get('userRateLimit')}
            />
            <DurationInput
              label="in"
              value={userRate.perMs}
              onChange={(perMs) => setUserRate({ ...userRate, perMs })}
              error={faults.get('userRateLimit.perMs')}
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
