import { Alert, Button, Group, Modal, Stack } from '@mantine/core';
import { CodeLine } from '../../parts/copy';

/** The only time that a secret is shown. */
export function SecretDialog({ secret, onClose }: { secret: string | null; onClose: () => void }) {
  return (
    <Modal opened={secret !== null} onClose={onClose} title="The secret" size="lg" closeOnClickOutside={false}>
      <Stack gap="sm">
        <Alert color="yellow" variant="outline">
          It signs what is delivered, and is shown only now. A receiver checks the signature with it.
        </Alert>
        {secret !== null && <CodeLine code={secret} />}
        <Group justify="flex-end">
          <Button onClick={onClose}>I have kept it</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
