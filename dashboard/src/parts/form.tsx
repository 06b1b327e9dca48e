import { Button, Group, Modal, Stack } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { ApiError, messageOf } from '../api/problem';
import { Alert } from '@mantine/core';

/** What the coordinator said of the fields of a form, by their paths. */
export type Faults = ReadonlyMap<string, string>;

export function faultsOf(error: unknown): Faults {
  if (!(error instanceof ApiError)) return new Map();
  return new Map(error.errors.map(({ path, message }) => [path, message]));
}

/** A dialog that asks for something and sends it; what was refused is shown at its field, or else above all. */
export function FormDialog({
  title,
  action,
  onClose,
  onSubmit,
  isReady = true,
  size = 'md',
  children,
}: {
  title: string;
  action: string;
  onClose: () => void;
  /** Rejects with what was wrong; otherwise the dialog closes. */
  onSubmit: () => Promise<unknown>;
  isReady?: boolean;
  size?: 'md' | 'lg' | 'xl';
  children: (faults: Faults) => ReactNode;
}) {
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
      onClose();
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title={title} size={size}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Stack gap="sm">
          {error !== null && (
            <Alert color="red" variant="outline" role="alert">
              {messageOf(error)}
            </Alert>
          )}
          {children(faultsOf(error))}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              Keep as it is
            </Button>
            <Button type="submit" loading={isBusy} disabled={!isReady}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
