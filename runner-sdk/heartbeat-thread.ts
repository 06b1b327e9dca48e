import { parentPort, workerData } from 'node:worker_threads';
import { CancellationWatch } from './cancellation-watch';
import type { Connection } from './config';
import { Transport } from './http';
import { LeaseBoardReader, type PostedLease } from './lease-board';
import { LeaseKeeper, type HeldJob, type KeeperEvent } from './lease-keeper';
import type { HeartbeatsInput, HeartbeatsReply } from './protocol';
import type { Sign } from './sign';

interface Opening {
  connection: Connection;
  member: number;
  beatsWhenIdle: boolean;
  /** Leases in doubt, after a former thread died. */
  jobs: HeldJob[];
}

/** What the main thread says; `runnerId` names whose jobs, since all runners of a process share this thread. */
export type ToThread = { runnerId: string } & (
  | ({ kind: 'open' } & Opening)
  /** Something was put up on the lease board while the thread slept. */
  | { kind: 'look' }
  /** Leases that are in doubt, or found no room on the board. */
  | { kind: 'hold'; jobs: HeldJob[] }
  | { kind: 'let_go'; jobs: { jobId: string; leaseToken: string }[] }
  | { kind: 'signs'; signs: { jobId: string; leaseToken: string; sign: Sign }[] }
  | { kind: 'withdraw'; ticket: number; jobId: string; leaseToken: string }
  | { kind: 'idle_beat'; isOn: boolean }
  | { kind: 'close' }
);

/** What the thread is started with. */
export interface HeartbeatThreadData {
  board: SharedArrayBuffer;
}

export type FromThread = { runnerId: string } & (
  KeeperEvent | { kind: 'opened' } | { kind: 'withdrawn'; ticket: number; sign: Sign }
);

interface Open {
  member: number;
  keeper: LeaseKeeper;
  watch: CancellationWatch;
  transport: Transport;
}

const WATCH_SLACK_MS = 10_000;

/** How soon a lease that was put up is known here: well before a third of the shortest one. */
const LOOK_MS = 50;
/** Without any change for so long, it waits to be woken instead of looking. */
const AWAKE_LOOKS = 20;

/**
 * The heartbeat thread: it lives beside the main thread, so that a handler which blocks the event loop does not lose
 * its lease. `heartbeats.ts` is its other end.
 */
class HeartbeatThread {
  private readonly open = new Map<string, Open>();
  private readonly members = new Map<number, Open>();
  private timer: NodeJS.Timeout | undefined;
  private quietLooks = 0;

  constructor(
    private readonly board: LeaseBoardReader,
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
      case 'signs':
        return keeper.signAll(message.signs);
      case 'withdraw':
        return void this.withdraw(keeper, message);
      case 'idle_beat':
        return keeper.setIdleBeat(message.isOn);
      case 'close':
        return this.close(message.runnerId);
    }
  }

  private begin(runnerId: string, { connection, member, beatsWhenIdle, jobs }: Opening): void {
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
      onDirectives: (directives) => keeper.heed(directives),
      onFailure: (error) =>
        this.post({
          ...{ runnerId, kind: 'notice', level: 'debug', fields: { error } },
          message: 'cancellations cannot be waited for; they are heard with the next heartbeat',
        }),
    });
    const open = { member, keeper, watch, transport };
    this.open.set(runnerId, open);
    this.members.set(member, open);
    keeper.setIdleBeat(beatsWhenIdle);
    // Those in doubt stand on the board too, as they were when they were put up.
    this.look();
    keeper.hold(jobs);
    watch.wake();
    this.post({ runnerId, kind: 'opened' });
  }

  private keepLooking(): void {
    clearTimeout(this.timer);
    this.quietLooks = 0;
    this.board.stayAwake();
    this.timer = setTimeout(() => this.lookAgain(), LOOK_MS);
  }

  private lookAgain(): void {
    this.quietLooks = this.look() ? 0 : this.quietLooks + 1;
    if (this.quietLooks > AWAKE_LOOKS) {
      this.board.fallAsleep();
      // Put up after the last look, before the sleep was seen: nobody would wake the thread for it.
      if (this.look()) this.keepLooking();
      return;
    }
    this.timer = setTimeout(() => this.lookAgain(), LOOK_MS);
  }

  /** Takes over what stands on the board by now; `true` when that has changed. */
  private look(): boolean {
    const { held, gone } = this.board.look((member) => this.members.has(member));
    for (const lease of gone) this.members.get(lease.member)?.keeper.letGo([lease]);
    for (const [member, leases] of groupedByMember(held)) {
      const open = this.members.get(member);
      open?.keeper.hold(leases);
      open?.watch.wake();
    }
    return held.length + gone.length > 0;
  }

  private async withdraw(
    keeper: LeaseKeeper,
    { runnerId, ticket, leaseToken }: ToThread & { kind: 'withdraw' },
  ): Promise<void> {
    this.post({ runnerId, kind: 'withdrawn', ticket, sign: await keeper.withdraw(leaseToken) });
  }

  private close(runnerId: string): void {
    const open = this.open.get(runnerId);
    if (open === undefined) return;
    open.keeper.close();
    open.watch.close();
    void open.transport.close();
    this.open.delete(runnerId);
    this.members.delete(open.member);
  }
}

function groupedByMember(leases: readonly PostedLease[]): Map<number, PostedLease[]> {
  const groups = new Map<number, PostedLease[]>();
  for (const lease of leases) {
    const group = groups.get(lease.member);
    if (group === undefined) groups.set(lease.member, [lease]);
    else group.push(lease);
  }
  return groups;
}

if (parentPort !== null) {
  const port = parentPort;
  const { board } = workerData as HeartbeatThreadData;
  const thread = new HeartbeatThread(new LeaseBoardReader(board), (message) => port.postMessage(message));
  port.on('message', (message: ToThread) => thread.receive(message));
}
