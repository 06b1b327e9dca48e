import { setMaxListeners } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { CreatedApiKey } from '@baton/runner-sdk/protocol';
import { Agent } from 'undici';
import { Api, expectStatus } from '../support/api';
import { Contract } from '../support/contract';
import { eventually } from '../support/eventually';
import { RawSocket } from '../support/raw-socket';
import { ADMIN_KEY, type Coordinator } from './support/processes';
import { Stage } from './support/stage';

// One coordinator in a process of its own, under callers who take what they can get, while a good one works.

const SILENT = 340;
const DRIBBLING_HEADERS = 330;
const DRIBBLING_BODIES = 330;
const POLLS = 2000;
const MOST_POLLS = 500;
const STORM_MS = 4000;
const STORM_PER_TICK = 20;
const TICK_MS = 100;
/** Headers have 10 s, a whole request 30 s, and it is looked at every 5 s. */
const REAPED_WITHIN_MS = 45_000;
const MOST_GROWTH_MB = 250;
/** Far above what it takes; it is the errors that count. */
const ANSWERED_WITHIN_MS = 15_000;

let stage: Stage;
let coordinator: Coordinator;
let agent: Agent;
let admin: Api;
const open: RawSocket[] = [];
beforeAll(async () => {
  stage = await Stage.open('abuse');
  coordinator = await stage.coordinator({ env: { BATON_MAX_PARKED_POLLS: String(MOST_POLLS) } });
  agent = new Agent({ connections: null });
  admin = new Api(coordinator.url, ADMIN_KEY, agent, new Contract());
}, 60_000);
afterAll(async () => {
  for (const socket of open) socket.end();
  await agent.destroy();
  await stage.close();
});

const descriptors = () => readdirSync(`/proc/${coordinator.pid}/fd`).length;
const memoryMb = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${coordinator.pid}/status`, 'utf8'))?.[1]) / 1024;
const makeKey = async (role: 'runner' | 'admin') =>
  expectStatus(await admin.post<CreatedApiKey>('/api-keys', { name: 'key', role }), 201).key;

test('neither slow, silent nor endlessly returning connections keep a good caller from its work, and all of them end', async () => {
  const [good, greedy, slow] = [
    admin.as(await makeKey('admin')),
    admin.as(await makeKey('runner')),
    await makeKey('admin'),
  ];
  await goodRound(good, 'before');
  const before = { descriptors: descriptors(), memoryMb: memoryMb() };
  const abuse = new AbortController();
  setMaxListeners(POLLS + 1, abuse.signal);

  const [silent, headers, bodies] = await Promise.all(
    [SILENT, DRIBBLING_HEADERS, DRIBBLING_BODIES].map((count) => opened(count)),
  );
  for (const socket of headers ?? []) socket.say('POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n');
  for (const socket of bodies ?? [])
    socket.say(
      `POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${slow}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{`,
    );
  const drip = setInterval(() => {
    for (const socket of headers ?? []) socket.say('X-A: b\r\n');
    for (const socket of bodies ?? []) socket.say(' ');
  }, 1000);
  const polls = Array.from({ length: POLLS }, async (_, index) => {
    const answer = await greedy
      .call('post', '/jobs/claim', {
        json: { runnerId: `greedy-${index}`, types: ['never'], waitMs: 50_000 },
        signal: abuse.signal,
      })
      .catch(() => null);
    return answer?.status ?? 0;
  });
  const storm = stormed();

  const working = work(good, () => abuse.signal.aborted);
  await storm;
  await eventually(
    () => admin.get('/healthz').then(({ status }) => status),
    (status) => status === 200,
  );
  const during = { descriptors: descriptors(), memoryMb: memoryMb() };
  const closed = Promise.all([...(silent ?? []), ...(headers ?? []), ...(bodies ?? [])].map((socket) => socket.closed));
  await within(closed, REAPED_WITHIN_MS, 'slow connections are closed');
  clearInterval(drip);
  abuse.abort();

  const { errors, tookMs } = await working;
  const statuses = await Promise.all(polls);
  expect(errors).toEqual([]);
  expect(tookMs.length).toBeGreaterThan(20);
  expect(Math.max(...tookMs)).toBeLessThan(ANSWERED_WITHIN_MS);
  expect(statuses.filter((status) => status === 429)).toHaveLength(POLLS - MOST_POLLS);
  expect(during.memoryMb - before.memoryMb).toBeLessThan(MOST_GROWTH_MB);
  await agent.close();
  agent = new Agent({ connections: null });
  await eventually(descriptors, (count) => count <= before.descriptors + 10, 20_000);
  const sorted = [...tookMs].sort((a, b) => a - b);
  process.stdout.write(
    `a good caller's calls under abuse: ${tookMs.length}, p50 ${at(sorted, 0.5)} ms, p99 ${at(sorted, 0.99)} ms; memory ${Math.round(before.memoryMb)} > ${Math.round(during.memoryMb)} MB, descriptors ${before.descriptors} > ${during.descriptors} > ${descriptors()}\n`,
  );
}, 120_000);

async function opened(count: number): Promise<RawSocket[]> {
  const sockets = await Promise.all(Array.from({ length: count }, () => RawSocket.open(coordinator.url)));
  open.push(...sockets);
  return sockets;
}

/** Two hundred clients a second that connect, ask and go away, with an answer or without. */
async function stormed(): Promise<void> {
  const until = performance.now() + STORM_MS;
  for (let round = 0; performance.now() < until; round += 1) {
    const sockets = await Promise.all(Array.from({ length: STORM_PER_TICK }, () => RawSocket.open(coordinator.url)));
    for (const [index, socket] of sockets.entries()) {
      socket.say(
        `GET /jobs?limit=5 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${index % 2 === 0 ? ADMIN_KEY : 'wrong'}\r\n\r\n`,
      );
      if (index % 3 === 0) socket.end();
    }
    await pause(TICK_MS);
    for (const socket of sockets) socket.end();
  }
}

async function work(api: Api, isOver: () => boolean): Promise<{ errors: unknown[]; tookMs: number[] }> {
  const errors: unknown[] = [];
  const tookMs: number[] = [];
  for (let round = 0; !isOver(); round += 1) {
    try {
      tookMs.push(...(await goodRound(api, `good-${round % 100}`)));
    } catch (error) {
      errors.push(String(error));
    }
  }
  return { errors, tookMs };
}

/** A job from its creation to its end; how long each of the calls took. */
async function goodRound(api: Api, type: string): Promise<number[]> {
  const tookMs: number[] = [];
  const timed = async <T>(call: Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const answer = await call;
    tookMs.push(performance.now() - startedAt);
    return answer;
  };
  const { id } = await timed(api.create({ type }));
  const job = await timed(api.claimOne({ runnerId: 'good', types: [type], waitMs: 10_000 }));
  expectStatus(await timed(api.complete(job)), 200);
  const { status } = await timed(api.job(id));
  if (status !== 'completed') throw new Error(`the job is ${status}`);
  return tookMs;
}

async function within(work: Promise<unknown>, ms: number, what: string): Promise<void> {
  const over = new AbortController();
  const late = pause(ms, undefined, { signal: over.signal }).then(() => {
    throw new Error(`not within ${ms} ms: ${what}`);
  });
  await Promise.race([work, late]).finally(() => over.abort());
  await late.catch(() => undefined);
}

const at = (sorted: number[], share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10;
