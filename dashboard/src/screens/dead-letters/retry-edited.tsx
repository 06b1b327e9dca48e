import { Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import type { DeadLetterGroup } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { get, post } from '../../api/call';
import { all, type Job } from '../../api/reads';
import { FormDialog } from '../../parts/form';
import { plural } from '../../parts/format';
import { JsonField, readJson } from '../../parts/json-field';
import { tell } from '../../parts/notify';
import { Loading } from '../../parts/page';

/** How many calls are under way at once. */
const AT_ONCE = 8;

/** Retries a group, with members of its jobs' arguments set anew; the others stay as each job has them. */
export function RetryEdited({ group, onClose }: { group: DeadLetterGroup; onClose: () => void }) {
  const client = useQueryClient();
  const latest = useQuery({
    queryKey: ['job', group.latest.jobId],
    queryFn: ({ signal }) => get<Job>(['jobs', group.latest.jobId], {}, signal),
  });
  const [text, setText] = useState('{}');
  const read = readJson(text);
  const changes = read.isValid && isObject(read.value) ? read.value : null;

  const retry = async (): Promise<void> => {
    const jobs = await all<Job>(['jobs'], { status: ['failed'], fingerprint: [group.fingerprint], fields: 'id' });
    let left = jobs.map(({ id }) => id);
    while (left.length > 0) {
      await Promise.all(left.slice(0, AT_ONCE).map((id) => retryOne(id, changes ?? {})));
      left = left.slice(AT_ONCE);
    }
    tell(`${plural(jobs.length, 'job')} retried with other arguments.`);
    await client.invalidateQueries();
  };

  return (
    <FormDialog
      title={`Retry ${plural(group.count, 'job')} with other arguments`}
      action={`Retry ${group.count}`}
      onClose={onClose}
      onSubmit={retry}
      isReady={changes !== null}
      size="lg"
    >
      {() => (
        <>
          <Text size="sm" c="dimmed">
            What is given here replaces members of the same name in each job's arguments; the others stay. The latest of
            these jobs has:
          </Text>
          {latest.data === undefined ? (
            <Loading />
          ) : (
            <pre tabIndex={0} style={{ margin: 0, maxHeight: 180, overflow: 'auto', whiteSpace: 'pre-wrap' }}>
              {JSON.stringify(latest.data.arguments, null, 2)}
            </pre>
          )}
          <JsonField
            label="Members to replace"
            value={text}
            onChange={setText}
            minRows={4}
            error={read.isValid && changes === null ? 'a JSON object, such as {"host":"new.example.com"}' : undefined}
          />
        </>
      )}
    </FormDialog>
  );
}

async function retryOne(id: string, changes: Record<string, unknown>): Promise<void> {
  const job = await get<Job>(['jobs', id]);
  const own = isObject(job.arguments) ? job.arguments : {};
  await post(['dead-letters', id, 'retry'], { arguments: { ...own, ...changes } });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
