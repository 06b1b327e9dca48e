import type { JobFilter } from '@baton/runner-sdk/protocol';
import type { Executor } from '../../coordinator/store/db';
import { translated } from '../../coordinator/store/db';
import * as views from '../../coordinator/store/views/jobs';

/** A database whose statements take too long. */
const slow: Executor = {
  query: () => Promise.reject(translated(Object.assign(new Error('canceling statement'), { code: '57014' }))),
};

test.each<[string | null, JobFilter, RegExp[], RegExp[]]>([
  [
    null,
    { type: ['T'], tag: ['a'] },
    [/There is none for type and tag, so/, /Add .*: id, userId, .* or status \(failed/],
    [/is an index/],
  ],
  [null, { userId: ['ann'], arguments: { a: 1 } }, [/index for userId\./, /none for arguments,/], [/Add .*userId/]],
  ['ann', { queue: ['q'] }, [/index for userId\./, /none for queue,/], [/Add .*userId/]],
  [null, { status: ['failed'], priority: [5] }, [/index for status and priority\./], [/none for/, /status \(failed/]],
  [null, { status: ['failed', 'completed'], priority: [0] }, [/none for status and priority,/], [/is an index/]],
  [null, {}, [/Add a filter with an index/], [/none for/, /is an index/]],
])('a search by %j %j that takes too long is told which filter has no index', async (userId, filter, told, untold) => {
  for (const search of [
    () => views.page(slow, userId, filter, null, 10),
    () => views.count(slow, userId, filter, 10),
    () => views.ids(slow, userId, filter, null, 10),
  ]) {
    const refused = (await search().catch((error: unknown) => error)) as Error;
    expect(refused).toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
    for (const pattern of told) expect(refused.message).toMatch(pattern);
    for (const pattern of untold) expect(refused.message).not.toMatch(pattern);
  }
});

test('other failures of the database are told as they are', async () => {
  const gone = translated(Object.assign(new Error('gone'), { code: '57P01' }));
  await expect(views.count({ query: () => Promise.reject(gone) }, null, {}, 10)).rejects.toBe(gone);
});
