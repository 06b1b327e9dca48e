import { Button, Group, NumberInput, Popover, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useRights } from '../../api/session';
import { useConfirm } from '../../parts/confirm';
import { count, plural } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { tell, tellFailure, tellUndo } from '../../parts/notify';
import { change, type Choice, choiceOf, countChanged, restorePriorities, type Verb } from './bulk';
import classes from './jobs.module.css';
import type { JobLine } from './use-job-list';

const PAST: Record<Verb, string> = {
  retry: 'retried',
  cancel: 'cancelled',
  purge: 'deleted',
  prioritise: 'given another priority',
};

/** What can be done with the jobs that are selected, or with all that match. */
export function BulkBar({
  selected,
  isAll,
  choice,
  canSelectAll,
  onAll,
  onDone,
}: {
  selected: readonly JobLine[];
  /** All that match are meant, also those that are not shown. */
  isAll: boolean;
  choice: Choice;
  canSelectAll: boolean;
  onAll: () => void;
  onDone: () => void;
}) {
  const { isAdmin } = useRights();
  const confirm = useConfirm();
  const client = useQueryClient();
  const [busy, setBusy] = useState<Verb | null>(null);
  const choices = isAll ? [choice] : choiceOf(selected.map(({ id }) => id));

  const run = async (verb: Verb, extra: object, undo?: () => Promise<unknown>): Promise<void> => {
    setBusy(verb);
    try {
      const expected = await countChanged(verb, choices, extra);
      if (expected === 0) return tell(NOTHING[verb]);
      const answer = await confirm({
        title: `${TITLES[verb]} ${plural(expected, 'job')}?`,
        text: TEXTS[verb],
        action: `${TITLES[verb]} ${count(expected)}`,
        isDangerous: verb === 'cancel' || verb === 'purge',
        ...(verb === 'cancel' ? { asks: 'Reason (kept with each job)' } : {}),
      });
      if (answer === null) return;
      const changed = await change(verb, choices, {
        ...extra,
        ...(verb === 'cancel' && answer !== '' ? { reason: answer } : {}),
      });
      const said = `${plural(changed, 'job')} ${PAST[verb]}.`;
      if (undo === undefined) tell(said);
      else tellUndo(said, async () => undo().finally(() => client.invalidateQueries()));
      onDone();
    } catch (error) {
      tellFailure(error);
    } finally {
      setBusy(null);
      void client.invalidateQueries();
    }
  };

  const cancelled = selected.filter(
    ({ status }) => status === 'blocked' || status === 'pending' || status === 'running',
  );
  return (
    <div className={classes.bulk} role="region" aria-label="Selected jobs">
      <Text size="sm" fw={600}>
        {isAll ? 'All that match' : plural(selected.length, 'job')} selected
      </Text>
      {!isAll && canSelectAll && (
        <Button size="compact-sm" variant="subtle" onClick={onAll}>
          Select all that match
        </Button>
      )}
      <Group gap={6} ml="auto">
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="retry" size={14} />}
          loading={busy === 'retry'}
          onClick={() => void run('retry', {})}
        >
          Retry
        </Button>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="cancel" size={14} />}
          loading={busy === 'cancel'}
          onClick={() =>
            void run('cancel', {}, isAll ? undefined : () => change('retry', choiceOf(cancelled.map(({ id }) => id))))
          }
        >
          Cancel
        </Button>
        <PriorityButton
          isBusy={busy === 'prioritise'}
          onChoose={(priority) =>
            void run(
              'prioritise',
              { priority },
              isAll || selected.length > 200 ? undefined : () => restorePriorities(selected),
            )
          }
        />
        {isAdmin && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="remove" size={14} />}
            loading={busy === 'purge'}
            onClick={() => void run('purge', {})}
          >
            Delete
          </Button>
        )}
        <Button size="compact-sm" variant="subtle" color="gray" onClick={onDone}>
          Clear
        </Button>
      </Group>
    </div>
  );
}

const TITLES: Record<Verb, string> = { retry: 'Retry', cancel: 'Cancel', purge: 'Delete', prioritise: 'Change' };
const NOTHING: Record<Verb, string> = {
  retry: 'None of these can be retried: only jobs that failed or were cancelled can.',
  cancel: 'None of these can be cancelled: they have all finished.',
  purge: 'None of these can be deleted: only finished jobs can.',
  prioritise: 'None of these waits, so a priority would change nothing.',
};
const TEXTS: Record<Verb, string> = {
  retry: 'They begin again with the first attempt; what they went through is kept.',
  cancel: 'Those that run lose their lease at once, and their runners are told. Finished ones stay as they are.',
  purge: 'They are deleted with their attempts and logs. This cannot be undone. Jobs that have not finished stay.',
  prioritise: 'Only those that wait change.',
};

function PriorityButton({ isBusy, onChoose }: { isBusy: boolean; onChoose: (priority: number) => void }) {
  const [isOpen, setOpen] = useState(false);
  const [priority, setPriority] = useState<number | string>(10);
  return (
    <Popover opened={isOpen} onChange={setOpen} trapFocus withArrow>
      <Popover.Target>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="up" size={14} />}
          loading={isBusy}
          onClick={() => setOpen(!isOpen)}
        >
          Priority
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            setOpen(false);
            if (typeof priority === 'number') onChoose(priority);
          }}
        >
          <Stack gap="xs">
            <NumberInput
              size="xs"
              label="New priority"
              description="-100 to 100, higher first"
              min={-100}
              max={100}
              value={priority}
              onChange={setPriority}
              data-autofocus
            />
            <Button size="xs" type="submit">
              Set
            </Button>
          </Stack>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}
