import { parentPort, workerData } from 'node:worker_threads';
import { CancellationWatch } from './cancellation-watch';
import type { Connection } from '../transport/config';
import { Transport } from '../transport/transport';
import { SharedLeaseTableReader, type SharedLease } from './shared-lease-table';
import { LeaseKeeper, type Lease, type KeeperEvent } from './lease-keeper';
import type { HeartbeatsInput, HeartbeatsReply } from '../protocol';
import type { JobUpdate } from './job-update';

interface Opening {
  connection: Connection;
  runnerIndex: number;
  beatsWhenIdle: boolean;
  /** Unconfirmed leases, after a previous thread died. */
  jobs: Lease[];
}

/** Messages from the main thread; `runnerId` names the runner, since all runners of a process share this thread. */
export type ToThread = { runnerId: string } & (
  | ({ kind: 'open' } & Opening)
  /** The shared lease table has changed while the thread slept. */
  | { kind: 'look' }
  /** Leases that are unconfirmed, or did not fit into the table. */
  | { kind: 'hold'; jobs: Lease[] }
  | { kind: 'let_go'; jobs: { jobId: string; leaseToken: string }[] }
  | { kind: 'updates'; updates: { jobId: string; leaseToken: string; update: JobUpdate }[] }
  | { kind: 'withdraw'; requestId: number; jobId: string; leaseToken: string }
  | { kind: 'idle_beat'; isOn: boolean }
  | { kind: 'close' }
);

/** Data that the thread is started with. */
export interface HeartbeatThreadData {
  table: SharedArrayBuffer;
}

export type FromThread = { runnerId: string } & (
  KeeperEvent | { kind: 'opened' } | { kind: 'withdrawn'; requestId: number; update: JobUpdate }
);

interface Open {
  runnerIndex: number;
  keeper: LeaseKeeper;
  watch: CancellationWatch;
  transport: Transport;
}

const WATCH_SLACK_MS = 10_000;

/** How soon a new lease is seen here: well before a third of the shortest one. */
const LOOK_MS = 50;
/** After this many polls without a change it waits to be woken instead of polling. */
const AWAKE_LOOKS = 20;

/**
 * The heartbeat thread. It runs beside the main thread, so that a handler that blocks the event loop does not lose its
 * lease. `heartbeats.ts` is its counterpart.
 */
class HeartbeatThread {
  private readonly open = new Map<string, Open>();
  private readonly byIndex = new Map<number, Open>();
  private timer: NodeJS.Timeout | undefined;
  private quietLooks = 0;

  constructor(
    private readonly table: SharedLeaseTableReader,
    private readonly post: (message: FromThread) => void,
  ) {
    this.keepLooking();
  }

  receive(message: ToThread): void {
    if (message.kind === 'open') return this.begin(message.runnerId, message);
    this.look();
    if (message.kind === 'look') return this.keepLooking();
    const keeper = this.open.get(message.runnerId)?.keeper;
    if (keeper === undefined) return;
    switch (message.kind) {
      case 'hold':
        keeper.hold(message.jobs);
        return this.open.get(message.runnerId)?.watch.wake();
      case 'let_go':
        return keeper.letGo(message.jobs);
      case 'updates':
        return keeper.addUpdates(message.updates);
      case 'withdraw':
        return void this.withdraw(keeper, message);
      case 'idle_beat':
        return keeper.setIdleBeat(message.isOn);
      case 'close':
        return this.close(message.runnerId);
    }
  }

  private begin(runnerId: string, { connection, runnerIndex, beatsWhenIdle, jobs }: Opening): void {
    const transport = new Transport(connection);
    const keeper = new LeaseKeeper({
      runnerId,
      emit: (event) => this.post({ runnerId, ...event }),
      send: async (body, limits) =>
        (
          await transport.call<HeartbeatsReply>({
            method: 'POST',
            path: '/jobs/heartbeat',
            body,
            expects: 'jobs',
            ...limits,
          })
        ).body,
      refresh: () => void this.look(),
    });
    const watch = new CancellationWatch({
      send: async (waitMs) => {
        const body: HeartbeatsInput = { runnerId, jobs: [], waitMs, isDraining: keeper.isDraining };
        const limits = { timeoutMs: waitMs + WATCH_SLACK_MS, budgetMs: 0 };
        return (
          await transport.call<HeartbeatsReply>({
            method: 'POST',
            path: '/jobs/heartbeat',
            body,
            expects: 'jobs',
            ...limits,
          })
        ).body;
      },
      heldForMs: () => keeper.heldForMs(),
      onCheck: (check) => keeper.check(check),
      onDirectives: (directives) => keeper.applyDirectives(directives),
      onFailure: (error) =>
        this.post({
          ...{ runnerId, kind: 'notice', level: 'debug', fields: { error } },
          message: 'cancellations cannot be waited for; they are heard with the next heartbeat',
        }),
    });
    const open = { runnerIndex, keeper, watch, transport };
    this.open.set(runnerId, open);
    this.byIndex.set(runnerIndex, open);
    keeper.setIdleBeat(beatsWhenIdle);
    // The table also contains the unconfirmed leases, as they were when they were written.
    this.look();
    keeper.hold(jobs);
    watch.wake();
    this.post({ runnerId, kind: 'opened' });
  }

  private keepLooking(): void {
    clearTimeout(this.timer);
    this.quietLooks = 0;
    this.table.stayAwake();
    this.timer = setTimeout(() => this.lookAgain(), LOOK_MS);
  }

  private lookAgain(): void {
    this.quietLooks = this.look() ? 0 : this.quietLooks + 1;
    if (this.quietLooks > AWAKE_LOOKS) {
      this.table.fallAsleep();
      // A lease added after the last poll but before the sleep was visible: nothing would wake the thread for it.
      if (this.look()) this.keepLooking();
      return;
    }
    this.timer = setTimeout(() => this.lookAgain(), LOOK_MS);
  }

  /** Reads the changes of the table; `true` if there were any. */
  private look(): boolean {
    const { held, gone } = this.table.look((runnerIndex) => this.byIndex.has(runnerIndex));
    for (const lease of gone) this.byIndex.get(lease.runnerIndex)?.keeper.letGo([lease]);
    for (const [runnerIndex, leases] of groupedByRunner(held)) {
      const open = this.byIndex.get(runnerIndex);
      open?.keeper.hold(leases);
      open?.watch.wake();
    }
    return held.length + gone.length > 0;
  }

  private async withdraw(
    keeper: LeaseKeeper,
    { runnerId, requestId, leaseToken }: ToThread & { kind: 'withdraw' },
  ): Promise<void> {
    this.post({ runnerId, kind: 'withdrawn', requestId, update: await keeper.withdraw(leaseToken) });
  }

  private close(runnerId: string): void {
    const open = this.open.get(runnerId);
    if (open === undefined) return;
    open.keeper.close();
    open.watch.close();
    void open.transport.close();
    this.open.delete(runnerId);
    this.byIndex.delete(open.runnerIndex);
  }
}

function groupedByRunner(leases: readonly SharedLease[]): Map<number, SharedLease[]> {
  const groups = new Map<number, SharedLease[]>();
  for (const lease of leases) {
    const group = groups.get(lease.runnerIndex);
    if (group === undefined) groups.set(lease.runnerIndex, [lease]);
    else group.push(lease);
  }
  return groups;
}

if (parentPort !== null) {
  const port = parentPort;
  const { table } = workerData as HeartbeatThreadData;
  const thread = new HeartbeatThread(new SharedLeaseTableReader(table), (message) => port.postMessage(message));
  port.on('message', (message: ToThread) => thread.receive(message));
}
