import { Alert, Autocomplete, Button, Group, Switch } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { call, get, post } from '../../api/call';
import { messageOf } from '../../api/problem';
import { type Job, type Page as Listed, useStats } from '../../api/reads';
import { CopyButton } from '../../parts/copy';
import { type Faults, faultsOf } from '../../parts/form';
import { visible } from '../../parts/format';
import { JsonField } from '../../parts/json-field';
import { tell } from '../../parts/notify';
import { Card, Found, Page } from '../../parts/page';
import { createExample, createInSdk } from '../../parts/samples';
import { bodyOf, type Draft, draftOf, EMPTY, isValid, repeatedBodyOf } from './draft';
import classes from './new-job.module.css';
import { Options } from './options';
import { EVERY_HOUR, Timing, timingBody, type TimingDraft } from './timing';

/** A job, made by hand; or a schedule that makes it. */
export function NewJob() {
  const [search] = useSearchParams();
  const from = search.get('from');
  const original = useQuery({
    queryKey: ['job', from],
    queryFn: ({ signal }) => get<Job>(['jobs', from ?? ''], {}, signal),
    enabled: from !== null,
    staleTime: Infinity,
  });
  if (from === null) return <Form key="new" start={EMPTY} isRepeated={search.has('schedule')} />;
  return <Found query={original}>{(job) => <Form key={job.id} start={draftOf(job)} isRepeated={false} />}</Found>;
}

function Form({ start, isRepeated: startsRepeated }: { start: Draft; isRepeated: boolean }) {
  const [, navigate] = useLocation();
  const client = useQueryClient();
  const [draft, setDraft] = useState(start);
  const [isRepeated, setRepeated] = useState(startsRepeated);
  const [timing, setTiming] = useState<TimingDraft>(EVERY_HOUR);
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const change = (changes: Partial<Draft>): void => setDraft((before) => ({ ...before, ...changes }));
  const isReady = isValid(draft) && (!isRepeated || timing.name.trim() !== '');
  const body = isRepeated ? repeatedBodyOf(draft) : bodyOf(draft);
  const { type, arguments: args, ...options } = body;
  const faults = faultsOf(error);

  const create = async (): Promise<void> => {
    const key = draft.idempotencyKey.trim();
    const job = await call<Job>('POST', ['jobs'], {
      body,
      headers: key === '' ? undefined : { 'Idempotency-Key': key },
    });
    tell('The job is created.');
    navigate(`/jobs/${job.id}`);
  };
  const schedule = async (): Promise<void> => {
    const made = await post<{ id: string }>(['schedules'], { ...timingBody(timing), job: body });
    tell('The schedule is created.');
    navigate(`/schedules/${made.id}`);
  };
  const submit = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await (isRepeated ? schedule() : create());
      void client.invalidateQueries();
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Page
      title={isRepeated ? 'New schedule' : 'New job'}
      actions={
        !isRepeated && (
          <>
            <CopyButton text={() => createExample(String(type), args ?? {}, options)} label="Copy as curl" />
            <CopyButton text={() => createInSdk(String(type), args ?? {}, options)} label="Copy as SDK code" />
          </>
        )
      }
    >
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        {error !== null && (
          <Alert color="red" variant="outline" role="alert">
            {messageOf(error)}
          </Alert>
        )}
        <Card title="What">
          <What draft={draft} faults={underJob(faults, isRepeated)} onChange={change} />
        </Card>
        <Card title="When">
          <Switch
            label="Again and again, by a schedule"
            checked={isRepeated}
            onChange={(event) => setRepeated(event.currentTarget.checked)}
            mb={isRepeated ? 'sm' : 0}
          />
          {isRepeated && <Timing timing={timing} onChange={setTiming} faults={faults} />}
        </Card>
        <Options draft={draft} faults={underJob(faults, isRepeated)} onChange={change} isRepeated={isRepeated} />
        <Group justify="flex-end">
          <Button variant="default" onClick={() => history.back()}>
            Back
          </Button>
          <Button type="submit" disabled={!isReady} loading={isBusy}>
            {isRepeated ? 'Create the schedule' : 'Create the job'}
          </Button>
        </Group>
      </form>
    </Page>
  );
}

/** Of a schedule, the job's faults stand under `job`. */
function underJob(faults: Faults, isRepeated: boolean): Faults {
  if (!isRepeated) return faults;
  return new Map([...faults].map(([path, message]) => [path.replace(/^job\./, ''), message]));
}

function What({
  draft,
  faults,
  onChange,
}: {
  draft: Draft;
  faults: Faults;
  onChange: (changes: Partial<Draft>) => void;
}) {
  const stats = useStats().data;
  const type = draft.type.trim();
  const isKnown = stats?.types.some((each) => each.type === type) === true;
  const examples = useQuery({
    queryKey: ['examples', type],
    queryFn: ({ signal }) => get<Listed<Job>>(['jobs'], { type, limit: 5 }, signal),
    enabled: isKnown,
  });
  return (
    <>
      <div className={classes.pair}>
        <Autocomplete
          label="Type"
          description="What runners claim it by"
          data={stats?.types.map((each) => each.type) ?? []}
          value={draft.type}
          onChange={(value) => onChange({ type: value })}
          error={faults.get('type')}
          required
          data-autofocus
        />
        <Autocomplete
          label="Queue"
          description="Where it waits; limits and pauses are the queue's"
          placeholder="default"
          data={stats?.queues.map(({ name }) => name) ?? []}
          value={draft.queue}
          onChange={(value) => onChange({ queue: value })}
          error={faults.get('queue')}
        />
      </div>
      <JsonField
        label="Arguments"
        description="Any JSON value but null"
        value={draft.arguments}
        onChange={(value) => onChange({ arguments: value })}
        error={faults.get('arguments')}
      />
      {examples.data !== undefined && examples.data.items.length > 0 && (
        <Group gap={6} mt={4}>
          <span className={classes.quiet}>As the latest ones had:</span>
          {examples.data.items.map(({ id, arguments: args }) => (
            <Button
              key={id}
              size="compact-xs"
              variant="default"
              maw={260}
              onClick={() => onChange({ arguments: JSON.stringify(args, null, 2) })}
            >
              <span className="mono cut">{visible(JSON.stringify(args)).slice(0, 60)}</span>
            </Button>
          ))}
        </Group>
      )}
    </>
  );
}
