import { BatonError } from '../../coordinator/errors';
import { coalesce } from '../../coordinator/dispatch/coalesce';
import { eventually } from '../support/eventually';

/** Batches that are held until they are let go. */
function rig(
  limits: { maxBatch: number; maxInFlight: number; fewestBeside?: number; patienceMs?: number },
  fault?: (items: number[]) => Error | null,
) {
  const batches: number[][] = [];
  const gates: (() => void)[] = [];
  const call = coalesce<number, string>(async (items) => {
    batches.push(items);
    await new Promise<void>((resolve) => gates.push(resolve));
    const error = fault?.(items) ?? null;
    if (error !== null) throw error;
    return items.map((item) => `r${item}`);
  }, limits);
  const letGo = async () => {
    gates.shift()?.();
    await turn();
    await turn();
  };
  /** A call that comes in a turn of its own. */
  const callAlone = async (items: number[]) => {
    const answer = call(items);
    await turn();
    return { answer };
  };
  return { call, callAlone, batches, letGo };
}

/** The end of a turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('what comes in one turn goes together', async () => {
  const { call, batches, letGo } = rig({ maxBatch: 10, maxInFlight: 2 });
  const answers = [call([1]), call([2, 3])];
  await turn();
  expect(batches).toEqual([[1, 2, 3]]);
  await letGo();
  expect(await Promise.all(answers)).toEqual([['r1'], ['r2', 'r3']]);
});

test('of what comes in one turn as many full batches start as may', async () => {
  const { call, batches, letGo } = rig({ maxBatch: 3, maxInFlight: 2, fewestBeside: 3 });
  const answers = [call([1, 2, 3]), call([4, 5, 6]), call([7, 8, 9])];
  await turn();
  expect(batches).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  for (let at = 0; at < 3; at += 1) await letGo();
  expect((await Promise.all(answers)).flat().length).toBe(9);
});

test('a lone call goes at once; what comes meanwhile goes together in the next batch', async () => {
  const { callAlone, batches, letGo } = rig({ maxBatch: 10, maxInFlight: 1 });
  const calls = [await callAlone([1]), await callAlone([2, 3]), await callAlone([4])];
  const answers = calls.map(({ answer }) => answer);
  expect(batches).toEqual([[1]]);
  await letGo();
  expect(batches).toEqual([[1], [2, 3, 4]]);
  await letGo();
  expect(await Promise.all(answers)).toEqual([['r1'], ['r2', 'r3'], ['r4']]);
});

test('a batch is no larger than allowed, unless one call alone is; as many are under way as allowed', async () => {
  const { call, callAlone, batches, letGo } = rig({ maxBatch: 3, maxInFlight: 2, fewestBeside: 1 });
  const calls = [await callAlone([1]), await callAlone([2])];
  const answers = [...calls.map(({ answer }) => answer), call([3, 4]), call([5, 6]), call([7, 8, 9, 10])];
  expect(batches).toEqual([[1], [2]]);
  for (let at = 0; at < 5; at += 1) await letGo();
  expect(batches).toEqual([[1], [2], [3, 4], [5, 6], [7, 8, 9, 10]]);
  expect((await Promise.all(answers)).flat().length).toBe(10);
});

test('beside a batch under way only one that is full enough starts', async () => {
  const { callAlone, batches, letGo } = rig({ maxBatch: 10, maxInFlight: 2, fewestBeside: 3 });
  const calls = [await callAlone([1]), await callAlone([2]), await callAlone([3])];
  expect(batches).toEqual([[1]]);
  calls.push(await callAlone([4]), await callAlone([5]));
  const answers = calls.map(({ answer }) => answer);
  expect(batches).toEqual([[1], [2, 3, 4]]);
  await letGo();
  expect(batches).toEqual([[1], [2, 3, 4]]);
  await letGo();
  expect(batches).toEqual([[1], [2, 3, 4], [5]]);
  await letGo();
  expect((await Promise.all(answers)).flat()).toEqual(['r1', 'r2', 'r3', 'r4', 'r5']);
});

test('beside a batch that takes long even a small one starts', async () => {
  const { callAlone, batches, letGo } = rig({ maxBatch: 10, maxInFlight: 2, fewestBeside: 3, patienceMs: 1 });
  const calls = [await callAlone([1]), await callAlone([2])];
  const answers = calls.map(({ answer }) => answer);
  expect(batches[0]).toEqual([1]);
  await eventually(() => batches.length === 2);
  expect(batches).toEqual([[1], [2]]);
  await letGo();
  await letGo();
  expect((await Promise.all(answers)).flat()).toEqual(['r1', 'r2']);
});

test('a batch that fails is tried again call by call, so that only the call at fault fails', async () => {
  const { call, callAlone, batches, letGo } = rig({ maxBatch: 10, maxInFlight: 1 }, (items) =>
    items.includes(3) ? new Error('three') : null,
  );
  const first = (await callAlone([1])).answer;
  const answers = [call([2]), call([3]), call([4])].map((answer) => answer.catch((error: Error) => error.message));
  for (let at = 0; at < 5; at += 1) await letGo();
  expect(await Promise.all([first, ...answers])).toEqual([['r1'], ['r2'], 'three', ['r4']]);
  expect(batches).toEqual([[1], [2, 3, 4], [2], [3], [4]]);
});

test('a database that is away is not asked again for each call', async () => {
  const { call, callAlone, batches, letGo } = rig(
    { maxBatch: 10, maxInFlight: 1 },
    () => new BatonError('unavailable', 'away'),
  );
  const first = (await callAlone([1])).answer;
  const answers = [first, call([2]), call([3])].map((answer) => answer.catch((error: BatonError) => error.code));
  for (let at = 0; at < 2; at += 1) await letGo();
  expect(await Promise.all(answers)).toEqual(['unavailable', 'unavailable', 'unavailable']);
  expect(batches).toEqual([[1], [2, 3]]);
});
