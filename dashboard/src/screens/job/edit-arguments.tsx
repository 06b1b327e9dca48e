import type { Job } from '../../api/reads';
import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { post } from '../../api/call';
import { JsonField, readJson } from '../../parts/json-field';
import { tell } from '../../parts/notify';
import { useAction } from '../../parts/use-action';

/** Tries a dead job again with other arguments. */
export function EditArguments({ job, onClose }: { job: Job; onClose: () => void }) {
  const [text, setText] = useState(() => JSON.stringify(job.arguments, null, 2));
  const retry = useAction(
    (args: unknown) => post<Job>(['dead-letters', job.id, 'retry'], { arguments: args }),
    [['job', job.id], ['list'], ['head'], ['dead-letters'], ['stats']],
  );
  const read = readJson(text);
  return (
    <Modal opened onClose={onClose} title="Retry with other arguments" size="lg" centered>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!read.isValid) return;
          void retry.run(read.value).then((retried) => {
            if (retried === undefined) return;
            tell('The job is tried again with these arguments.');
            onClose();
          });
        }}
      >
        <Stack gap="sm">
          <Text size="sm" c="dimmed">
            The job keeps its id and its history, and begins again with the first attempt.
          </Text>
          <JsonField label="Arguments" value={text} onChange={setText} />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              Keep as it is
            </Button>
            <Button type="submit" disabled={!read.isValid} loading={retry.isRunning}>
              Retry
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
