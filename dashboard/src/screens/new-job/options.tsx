import { Accordion, NumberInput, Select, TagsInput, TextInput } from '@mantine/core';
import { DurationInput } from '../../parts/duration-input';
import type { Faults } from '../../parts/form';
import { JsonField } from '../../parts/json-field';
import type { Draft } from './draft';
import classes from './new-job.module.css';

interface Props {
  draft: Draft;
  faults: Faults;
  onChange: (changes: Partial<Draft>) => void;
}

/** Everything that a create takes beside type and arguments. */
export function Options({ isRepeated, ...props }: Props & { isRepeated: boolean }) {
  return (
    <Accordion multiple variant="separated" chevronPosition="left" classNames={{ item: classes.item ?? '' }}>
      <Accordion.Item value="order">
        <Accordion.Control>Order and time</Accordion.Control>
        <Accordion.Panel>
          <OrderAndTime {...props} isRepeated={isRepeated} />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="retries">
        <Accordion.Control>Attempts and retries</Accordion.Control>
        <Accordion.Panel>
          <Retries {...props} />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="who">
        <Accordion.Control>User, tags and metadata</Accordion.Control>
        <Accordion.Panel>
          <WhoAndWhat {...props} />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="keys">
        <Accordion.Control>Keys and limits</Accordion.Control>
        <Accordion.Panel>
          <Keys {...props} isRepeated={isRepeated} />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="runners">
        <Accordion.Control>Which runners</Accordion.Control>
        <Accordion.Panel>
          <WhichRunners {...props} />
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}

function OrderAndTime({ draft, faults, onChange, isRepeated }: Props & { isRepeated: boolean }) {
  return (
    <div className={classes.pair}>
      <NumberInput
        label="Priority"
        description="-100 to 100, higher first"
        placeholder="0"
        min={-100}
        max={100}
        value={draft.priority ?? ''}
        onChange={(value) => onChange({ priority: typeof value === 'number' ? value : null })}
        error={faults.get('priority')}
      />
      {!isRepeated && (
        <>
          <DurationInput
            label="Not before"
            description="From now on"
            placeholder="at once"
            value={draft.startsIn}
            onChange={(startsIn) => onChange({ startsIn })}
            error={faults.get('delayMs')}
          />
          <DurationInput
            label="Expires"
            description="Cancelled if it has not started so long from now"
            placeholder="never"
            value={draft.expiresIn}
            onChange={(expiresIn) => onChange({ expiresIn })}
            error={faults.get('expiresAt')}
          />
        </>
      )}
    </div>
  );
}

function Retries({ draft, faults, onChange }: Props) {
  return (
    <div className={classes.pair}>
      <NumberInput
        label="Attempts at most"
        placeholder="the queue's, else 11"
        min={1}
        max={1000}
        value={draft.maxAttempts ?? ''}
        onChange={(value) => onChange({ maxAttempts: typeof value === 'number' ? value : null })}
        error={faults.get('maxAttempts')}
      />
      <DurationInput
        label="Time limit of an attempt"
        placeholder="the queue's, else 5 min"
        value={draft.timeoutMs}
        onChange={(timeoutMs) => onChange({ timeoutMs })}
        error={faults.get('timeoutMs')}
      />
      <Select
        label="Waits between attempts"
        data={[
          { value: 'default', label: "as the queue's" },
          { value: 'exponential', label: 'exponential: doubled each time' },
          { value: 'linear', label: 'linear: longer by the same each time' },
          { value: 'fixed', label: 'fixed: the same each time' },
        ]}
        value={draft.strategy}
        onChange={(value) => onChange({ strategy: value ?? 'default' })}
        allowDeselect={false}
        error={faults.get('retry.strategy')}
      />
      {draft.strategy !== 'default' && (
        <>
          <DurationInput
            label="First wait"
            placeholder="4 s"
            value={draft.baseMs}
            onChange={(baseMs) => onChange({ baseMs })}
            error={faults.get('retry.baseMs')}
          />
          <DurationInput
            label="Longest wait"
            placeholder="1 h"
            value={draft.maxMs}
            onChange={(maxMs) => onChange({ maxMs })}
            error={faults.get('retry.maxMs')}
          />
        </>
      )}
    </div>
  );
}

function WhoAndWhat({ draft, faults, onChange }: Props) {
  return (
    <>
      <div className={classes.pair}>
        <TextInput
          label="User"
          value={draft.userId}
          onChange={(event) => onChange({ userId: event.currentTarget.value })}
          error={faults.get('userId')}
        />
        <TagsInput label="Tags" value={draft.tags} onChange={(tags) => onChange({ tags })} error={faults.get('tags')} />
        <TextInput
          label="Callback"
          description="Told by a signed post when it has finished"
          placeholder="https://app.example.com/hooks"
          value={draft.callbackUrl}
          onChange={(event) => onChange({ callbackUrl: event.currentTarget.value })}
          error={faults.get('callbackUrl')}
        />
      </div>
      <JsonField
        label="Metadata"
        value={draft.metadata}
        onChange={(metadata) => onChange({ metadata })}
        error={faults.get('metadata')}
        minRows={3}
      />
    </>
  );
}

function Keys({ draft, faults, onChange, isRepeated }: Props & { isRepeated: boolean }) {
  return (
    <div className={classes.pair}>
      {!isRepeated && (
        <>
          <TextInput
            label="Idempotency key"
            description="The same create again makes no second job"
            value={draft.idempotencyKey}
            onChange={(event) => onChange({ idempotencyKey: event.currentTarget.value })}
            error={faults.get('Idempotency-Key')}
          />
          <TextInput
            label="Unique key"
            description="While an unfinished job of the type has it, no other is created"
            value={draft.uniqueKey}
            onChange={(event) => onChange({ uniqueKey: event.currentTarget.value })}
            error={faults.get('uniqueKey')}
          />
          {draft.uniqueKey.trim() !== '' && (
            <>
              <DurationInput
                label="The unique key is held for"
                placeholder="until it has finished"
                value={draft.uniqueForMs}
                onChange={(uniqueForMs) => onChange({ uniqueForMs })}
                error={faults.get('uniqueForMs')}
              />
              <Select
                label="A waiting job with that key"
                data={[
                  { value: 'keep', label: 'is kept as it is' },
                  { value: 'replace', label: 'takes over these arguments' },
                ]}
                value={draft.onConflict}
                onChange={(value) => onChange({ onConflict: value === 'replace' ? 'replace' : 'keep' })}
                allowDeselect={false}
              />
            </>
          )}
        </>
      )}
      <TextInput
        label="Concurrency key"
        description="Jobs with the same key share the queue's limit for each key"
        value={draft.concurrencyKey}
        onChange={(event) => onChange({ concurrencyKey: event.currentTarget.value })}
        error={faults.get('concurrencyKey')}
      />
      <TextInput
        label="Order key"
        description="Jobs with the same key run one after the other"
        value={draft.orderKey}
        onChange={(event) => onChange({ orderKey: event.currentTarget.value })}
        error={faults.get('orderKey')}
      />
      {draft.orderKey.trim() !== '' && (
        <Select
          label="If it fails, those behind it"
          data={[
            { value: 'block', label: 'wait until it is retried or deleted' },
            { value: 'skip', label: 'go on without it' },
          ]}
          value={draft.orderOnFailure}
          onChange={(value) => onChange({ orderOnFailure: value === 'skip' ? 'skip' : 'block' })}
          allowDeselect={false}
        />
      )}
    </div>
  );
}

function WhichRunners({ draft, faults, onChange }: Props) {
  return (
    <div className={classes.pair}>
      <JsonField
        label="Labels that a runner must have"
        description='Such as {"gpu": true, "memoryGb": ">=40"}'
        value={draft.requires}
        onChange={(requires) => onChange({ requires })}
        error={faults.get('requires')}
        minRows={3}
      />
      <JsonField
        label="Labels that a runner should have"
        description="For the first five seconds only such runners get it"
        value={draft.prefers}
        onChange={(prefers) => onChange({ prefers })}
        error={faults.get('prefers')}
        minRows={3}
      />
    </div>
  );
}
