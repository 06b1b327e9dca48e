import { ActionIcon, Button, Menu } from '@mantine/core';
import type { Job } from '../../api/reads';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { patch, post, remove } from '../../api/call';
import { useRights } from '../../api/session';
import { useConfirm } from '../../parts/confirm';
import { copyText } from '../../parts/copy';
import { Icon } from '../../parts/icon';
import { tell, tellFailure, tellUndo } from '../../parts/notify';
import { createExample, createInSdk } from '../../parts/samples';
import { useAction } from '../../parts/use-action';
import { EditArguments } from './edit-arguments';
import { optionsOf } from './options';

/** What can be done with the job as it is, by whoever is signed in. */
export function Actions({ job }: { job: Job }) {
  const { isClient, isAdmin } = useRights();
  const [, navigate] = useLocation();
  const confirm = useConfirm();
  const [isEditing, setEditing] = useState(false);
  const changes = [['job', job.id], ['list'], ['head'], ['stats']];
  const retry = useAction(() => post<Job>(['jobs', job.id, 'retry']), changes);
  const runNow = useAction(() => post<Job>(['jobs', job.id, 'run-now']), changes);
  const cancel = useAction(
    (reason: string) => post<Job>(['jobs', job.id, 'cancel'], reason === '' ? {} : { reason }),
    changes,
  );
  const prioritise = useAction((priority: number) => patch<Job>(['jobs', job.id], { priority }), changes);

  const isOver = job.status === 'completed' || job.status === 'failed' || job.status === 'cancelled';
  const mayRetry = job.status === 'failed' || job.status === 'cancelled';
  const copy = (text: string): void => void copyText(text).then(() => tell('Copied.'), tellFailure);

  const askToCancel = async (): Promise<void> => {
    const reason = await confirm({
      title: 'Cancel this job?',
      text:
        job.status === 'running'
          ? 'It is running: its lease ends at once, and its runner is told.'
          : 'It will not be started.',
      action: 'Cancel the job',
      isDangerous: true,
      asks: 'Reason (kept with the job)',
    });
    if (reason === null || (await cancel.run(reason)) === undefined) return;
    tellUndo('The job is cancelled.', () => retry.run(undefined));
  };
  const askToDelete = async (): Promise<void> => {
    const answer = await confirm({
      title: 'Delete this job?',
      text: 'It is deleted with its attempts and logs. This cannot be undone.',
      action: 'Delete the job',
      isDangerous: true,
    });
    if (answer === null) return;
    try {
      await remove(['jobs', job.id], { purge: true });
      tell('The job is deleted.');
      navigate('/jobs');
    } catch (error) {
      tellFailure(error);
    }
  };

  return (
    <>
      {isClient && mayRetry && (
        <Button
          size="xs"
          loading={retry.isRunning}
          leftSection={<Icon name="retry" size={14} />}
          onClick={() => void retry.run(undefined)}
        >
          Retry
        </Button>
      )}
      {isClient && job.status === 'failed' && (
        <Button
          size="xs"
          variant="default"
          leftSection={<Icon name="edit" size={14} />}
          onClick={() => setEditing(true)}
        >
          Retry with other arguments
        </Button>
      )}
      {isClient && job.status === 'pending' && Date.parse(job.runAt) > Date.now() && (
        <Button
          size="xs"
          loading={runNow.isRunning}
          leftSection={<Icon name="bolt" size={14} />}
          onClick={() => void runNow.run(undefined)}
        >
          Run now
        </Button>
      )}
      {isClient && !isOver && (
        <Button
          size="xs"
          variant="default"
          loading={cancel.isRunning}
          leftSection={<Icon name="cancel" size={14} />}
          onClick={() => void askToCancel()}
        >
          Cancel
        </Button>
      )}
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label="More actions">
            <Icon name="more" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {isClient && (
            <Menu.Item leftSection={<Icon name="plus" />} onClick={() => navigate(`/jobs/new?from=${job.id}`)}>
              New job like this one
            </Menu.Item>
          )}
          {isClient && (job.status === 'pending' || job.status === 'blocked') && (
            <>
              <Menu.Item leftSection={<Icon name="up" />} onClick={() => void prioritise.run(10)}>
                High priority
              </Menu.Item>
              <Menu.Item leftSection={<Icon name="down" />} onClick={() => void prioritise.run(-10)}>
                Low priority
              </Menu.Item>
            </>
          )}
          <Menu.Item
            leftSection={<Icon name="copy" />}
            onClick={() => copy(createExample(job.type, job.arguments, optionsOf(job)))}
          >
            Copy as curl
          </Menu.Item>
          <Menu.Item
            leftSection={<Icon name="copy" />}
            onClick={() => copy(createInSdk(job.type, job.arguments, optionsOf(job)))}
          >
            Copy as SDK code
          </Menu.Item>
          <Menu.Item leftSection={<Icon name="copy" />} onClick={() => copy(JSON.stringify(job, null, 2))}>
            Copy the job as JSON
          </Menu.Item>
          {isAdmin && isOver && (
            <>
              <Menu.Divider />
              <Menu.Item color="red" leftSection={<Icon name="remove" />} onClick={() => void askToDelete()}>
                Delete
              </Menu.Item>
            </>
          )}
        </Menu.Dropdown>
      </Menu>
      {isEditing && <EditArguments job={job} onClose={() => setEditing(false)} />}
    </>
  );
}
