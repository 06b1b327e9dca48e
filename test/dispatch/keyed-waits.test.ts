import { KeyedWaits } from '../../coordinator/dispatch/keyed-waits';

// Waits for something that has a key.

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Two waits for `a` and one for `b`, and the names of those that have ended. */
function begin() {
  const waits = new KeyedWaits();
  const client = new AbortController();
  const ended: string[] = [];
  const wait = (name: string, key: string, waitMs: number, { signal } = new AbortController()) =>
    waits.wait(key, waitMs, signal).then(() => ended.push(name));
  void wait('a1', 'a', 5000, client);
  void wait('a2', 'a', 7000);
  void wait('b', 'b', 9000);
  return { waits, client, wait, take: async () => (await Promise.resolve(), await Promise.resolve(), ended.splice(0)) };
}

test('a key wakes all its waits and no others', async () => {
  const { waits, take } = begin();
  expect([waits.size, waits.keys()]).toEqual([2, ['a', 'b']]);
  waits.wake('a');
  waits.wake('none');
  expect([await take(), waits.keys()]).toEqual([['a1', 'a2'], ['b']]);
});

test('a wait ends with its time, or with its client, and leaves nothing behind', async () => {
  const { waits, client, take } = begin();
  client.abort();
  expect(await take()).toEqual(['a1']);
  jest.advanceTimersByTime(7000);
  expect([await take(), waits.keys()]).toEqual([['a2'], ['b']]);
  waits.close();
  expect([await take(), waits.size, jest.getTimerCount()]).toEqual([['b'], 0, 0]);
});

test('nobody waits whose client has gone already, nor after the end', async () => {
  const { waits, client, wait, take } = begin();
  client.abort();
  void wait('gone', 'a', 5000, client);
  expect(await take()).toEqual(['a1', 'gone']);
  waits.close();
  void wait('late', 'a', 5000);
  expect(await take()).toEqual(['a2', 'b', 'late']);
});
