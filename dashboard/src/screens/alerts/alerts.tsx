import { Button, Group } from '@mantine/core';
import type { Alert } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { patch, post, remove } from '../../api/call';
import { useAlerts } from '../../api/reads';
import { useRights } from '../../api/session';
import { useLiveRefresh } from '../../live/use-live';
import { useConfirm } from '../../parts/confirm';
import { duration, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { tell } from '../../parts/notify';
import { Empty, Found, Page } from '../../parts/page';
import { Word } from '../../parts/status';
import { Table, type TableColumn } from '../../parts/table';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import { AlertDialog } from './alert-dialog';
import { measured, MEASURES } from './measures';

const TONES = { ok: 'good', pending: 'warning', firing: 'bad' } as const;
export function Alerts() {
  const { isAdmin } = useRights();
  const alerts = useAlerts();
  const confirm = useConfirm();
  const [dialog, setDialog] = useState<Alert | 'new' | null>(null);
  useLiveRefresh(['alerts'], 1000, ({ name }) => name === 'alert.firing' || name === 'alert.resolved');
  const test = useAction(
    ({ id }: Alert) => post<{ value: number | null; isAbove: boolean }>(['alerts', id, 'test']),
    [['alerts']],
  );
  const enable = useAction(
    ({ id, enabled }: Alert) => patch<Alert>(['alerts', id], { enabled: !enabled }),
    [['alerts']],
  );
  const drop = useAction((id: string) => remove<undefined>(['alerts', id]), [['alerts']]);

  const askToDelete = async ({ id, name }: Alert): Promise<void> => {
    const answer = await confirm({
      title: `Delete the alert ${visible(name)}?`,
      text: 'If it fires, it is told as resolved. This cannot be undone.',
      action: 'Delete the alert',
      isDangerous: true,
    });
    if (answer !== null) await drop.run(id);
  };
  const columns: TableColumn<Alert>[] = [
    { key: 'name', header: 'Name', cell: ({ name }) => visible(name) },
    {
      key: 'state',
      header: 'State',
      cell: ({ enabled, state }) =>
        enabled ? <Word tone={TONES[state]}>{state}</Word> : <Word tone="quiet">disabled</Word>,
    },
    { key: 'rule', header: 'Fires when', cell: (alert) => ruleInWords(alert) },
    { key: 'value', header: 'Now', isNumber: true, cell: ({ measure, value }) => measured(measure, value) },
    { key: 'since', header: 'Since', isNumber: true, isMinor: true, cell: ({ since }) => <Time at={since} /> },
    ...(isAdmin
      ? [
          {
            key: 'actions',
            header: <span className="hidden">Actions</span>,
            isNumber: true,
            cell: (alert: Alert) => (
              <Group gap={6} justify="flex-end" wrap="nowrap">
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Test ${alert.name}`}
                  onClick={() =>
                    void test
                      .run(alert)
                      .then(
                        (found) =>
                          found !== undefined &&
                          tell(`Measured ${measured(alert.measure, found.value)}, and told as a test.`),
                      )
                  }
                >
                  Test
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Change ${alert.name}`}
                  onClick={() => setDialog(alert)}
                >
                  Change
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`${alert.enabled ? 'Disable' : 'Enable'} ${alert.name}`}
                  onClick={() => void enable.run(alert)}
                >
                  {alert.enabled ? 'Disable' : 'Enable'}
                </Button>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={`Delete ${alert.name}`}
                  onClick={() => void askToDelete(alert)}
                >
                  Delete
                </Button>
              </Group>
            ),
          },
        ]
      : []),
  ];
  return (
    <Page
      title="Alerts"
      actions={
        isAdmin && (
          <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setDialog('new')}>
            New alert
          </Button>
        )
      }
    >
      <Found query={alerts}>
        {(found) => (
          <Table
            label="Alerts"
            rows={found}
            columns={columns}
            keyOf={({ id }) => id}
            isDimmed={({ enabled }) => !enabled}
            empty={
              <Empty title="No alert yet.">
                An alert watches a measurement, and tells webhooks and the event stream when it is too high, and when it
                is well again.
              </Empty>
            }
          />
        )}
      </Found>
      {dialog !== null && <AlertDialog alert={dialog === 'new' ? null : dialog} onClose={() => setDialog(null)} />}
    </Page>
  );
}

function ruleInWords({ measure, threshold, windowMs, forMs, queue, type }: Alert): string {
  const isOverTime = measure === 'failureRate' || measure === 'deadLetters' || measure === 'runnersLost';
  return [
    `${MEASURES[measure]} over ${measured(measure, threshold)}`,
    isOverTime && `within ${duration(windowMs)}`,
    queue !== null && `in the queue ${visible(queue)}`,
    type !== null && `of the type ${visible(type)}`,
    forMs > 0 && `for ${duration(forMs)}`,
  ]
    .filter((each) => each !== false)
    .join(', ');
}
