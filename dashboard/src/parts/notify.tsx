import { Button, Group, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { messageOf } from '../api/problem';

const UNDO_MS = 12_000;

export function tell(message: string): void {
  notifications.show({ message, color: 'blue' });
}

/** @param undo what takes it back; offered for as long as the notice is shown */
export function tellUndo(message: string, undo: () => Promise<unknown>): void {
  const id = notifications.show({
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">{message}</Text>
        <Button
          size="compact-sm"
          variant="light"
          onClick={() => {
            notifications.hide(id);
            undo().then(() => tell('Undone.'), tellFailure);
          }}
        >
          Undo
        </Button>
      </Group>
    ),
    color: 'blue',
    autoClose: UNDO_MS,
  });
}

export function tellFailure(error: unknown): void {
  notifications.show({ title: 'That did not work', message: messageOf(error), color: 'red', autoClose: false });
}
