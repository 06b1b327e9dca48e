import type { Client } from 'pg';
import { readAddress } from '../../coordinator/store/connections/address';
import { requireFit } from '../../coordinator/store/connections/fitness';
import { Route } from '../../coordinator/store/connections/route';

// What a server says of itself decides whether it can serve; servers that cannot are told of in one line. No such
// server is at hand, so what one would say is played.

const address = readAddress('postgresql://baton:x@127.0.0.1:1/baton');
const GOOD = {
  version: '140000',
  encoding: 'UTF8',
  replication: 'origin',
  name: 'baton',
  isStandby: false,
  isReadOnly: false,
};

/** A session of a server that says this, in a process of its own. */
function sessionThatSays(said: Partial<typeof GOOD>): Client {
  const query = (text: string) => ({ rows: [text.includes('pg_backend_pid') ? { pid: 7 } : { ...GOOD, ...said }] });
  return { processID: 7, query } as unknown as Client;
}

const judged = (said: Partial<typeof GOOD>): Promise<void> =>
  requireFit(sessionThatSays(said), new Route(address), {
    applicationName: 'baton',
    statementTimeoutMs: 1000,
  });

test('a server of the oldest version that serves is taken', async () => {
  await expect(judged({})).resolves.toBeUndefined();
});

test.each<[Partial<typeof GOOD>, RegExp]>([
  [{ version: '130014' }, /is PostgreSQL 13, and Baton needs 14 or later\. Upgrade it/],
  [{ version: '90624' }, /is PostgreSQL 9, and Baton needs 14/],
  [{ encoding: 'LATIN1' }, /encoding LATIN1, .* CREATE DATABASE baton_utf8 TEMPLATE template0 ENCODING 'UTF8'/],
  [{ isStandby: true, isReadOnly: true }, /is a standby, which can only be read\. Set DATABASE_URL to the primary/],
  [{ isReadOnly: true }, /is read only\. Make it writable/],
  [{ replication: 'replica' }, /session_replication_role to replica.*RESET session_replication_role/],
])('one that says %j is refused in one line', async (said, words) => {
  const fault: unknown = await judged(said).catch((error: unknown) => error);
  expect(fault).toMatchObject({ message: expect.stringMatching(words) });
  expect(String((fault as Error).message)).not.toContain('\n');
});
