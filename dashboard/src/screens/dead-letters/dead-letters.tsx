import { Button, Group } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import type { DeadLetterGroup } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { Link } from 'wouter';
import { post } from '../../api/call';
import { useDeadLetterGroups } from '../../api/reads';
import { useRights } from '../../api/session';
import { isJobEvent } from '../../live/feed';
import { useLiveRefresh } from '../../live/use-live';
import { useConfirm } from '../../parts/confirm';
import { count, plural, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { tell, tellFailure } from '../../parts/notify';
import { Empty, Found, Page } from '../../parts/page';
import { Time } from '../../parts/time';
import classes from './dead-letters.module.css';
import { RetryEdited } from './retry-edited';

const REFRESH_MS = 3000;

/** Jobs that failed for good, by what they failed of: one fault is one line, however many jobs it ended. */
export function DeadLetters() {
  const { isClient, isAdmin } = useRights();
  const groups = useDeadLetterGroups({});
  const confirm = useConfirm();
  const client = useQueryClient();
  const [editing, setEditing] = useState<DeadLetterGroup | null>(null);
  useLiveRefresh(['dead-letters'], REFRESH_MS, (event) => isJobEvent(event) && event.name === 'job.failed');

  const act = async (verb: 'retry' | 'drop', group: DeadLetterGroup | null): Promise<void> => {
    const choice = group === null ? { all: true } : { fingerprint: group.fingerprint };
    const filter = { status: ['failed'], ...(group === null ? {} : { fingerprint: [group.fingerprint] }) };
    const send = (dryRun: boolean): Promise<{ count: number }> =>
      verb === 'retry'
        ? post(['dead-letters', 'retry'], { ...choice, dryRun })
        : post(['jobs', 'purge'], { filter, dryRun });
    try {
      const expected = await send(true);
      const answer = await confirm({
        title: `${verb === 'retry' ? 'Retry' : 'Delete'} ${plural(expected.count, 'job')}?`,
        text:
          verb === 'retry'
            ? 'They begin again with the first attempt, as they are. Mend what they failed of first.'
            : 'They are deleted with their attempts and logs. This cannot be undone.',
        action: `${verb === 'retry' ? 'Retry' : 'Delete'} ${count(expected.count)}`,
        isDangerous: verb === 'drop',
      });
      if (answer === null) return;
      const done = await send(false);
      tell(`${plural(done.count, 'job')} ${verb === 'retry' ? 'retried' : 'deleted'}.`);
    } catch (error) {
      tellFailure(error);
    } finally {
      void client.invalidateQueries();
    }
  };

  return (
    <Page
      title="Dead letters"
      note={groups.data && plural(groups.data.items.length, 'kind of failure', 'kinds of failure')}
      actions={
        isClient &&
        (groups.data?.items.length ?? 0) > 0 && (
          <>
            <Button
              size="xs"
              variant="default"
              leftSection={<Icon name="retry" size={14} />}
              onClick={() => void act('retry', null)}
            >
              Retry all
            </Button>
            {isAdmin && (
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="remove" size={14} />}
                onClick={() => void act('drop', null)}
              >
                Delete all
              </Button>
            )}
          </>
        )
      }
    >
      <Found query={groups}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No dead letters.">
              A job whose attempts have all failed, or that asked for no other, comes here, and stays until it is
              retried or deleted.
            </Empty>
          ) : (
            <ul className={classes.groups}>
              {items.map((group) => (
                <li key={group.fingerprint} className="card">
                  <div className={classes.head}>
                    <Link href={jobsOf(group)} className={classes.count ?? ''}>
                      {count(group.count)}
                    </Link>
                    <div className={classes.what}>
                      <div className={classes.pattern}>{visible(group.pattern)}</div>
                      <div className={classes.quiet}>
                        <strong>{visible(group.type)}</strong>
                        {group.code !== null && (
                          <>
                            {' · '}
                            <code>{visible(group.code)}</code>
                          </>
                        )}
                        {' · first '}
                        <Time at={group.firstAt} />
                        {', last '}
                        <Time at={group.lastAt} />
                        {' in '}
                        {visible(group.latest.queue)}
                      </div>
                    </div>
                  </div>
                  <Group gap={6}>
                    <Button component={Link} href={jobsOf(group)} size="compact-xs" variant="default">
                      Jobs
                    </Button>
                    <Button component={Link} href={`/jobs/${group.latest.jobId}`} size="compact-xs" variant="default">
                      Latest
                    </Button>
                    {isClient && (
                      <>
                        <Button size="compact-xs" variant="default" onClick={() => void act('retry', group)}>
                          Retry
                        </Button>
                        <Button size="compact-xs" variant="default" onClick={() => setEditing(group)}>
                          Retry with other arguments
                        </Button>
                      </>
                    )}
                    {isAdmin && (
                      <Button size="compact-xs" variant="default" onClick={() => void act('drop', group)}>
                        Delete
                      </Button>
                    )}
                  </Group>
                </li>
              ))}
            </ul>
          )
        }
      </Found>
      {editing !== null && <RetryEdited group={editing} onClose={() => setEditing(null)} />}
    </Page>
  );
}

function jobsOf({ fingerprint }: DeadLetterGroup): string {
  return `/jobs?status=failed&fingerprint=${encodeURIComponent(fingerprint)}`;
}
