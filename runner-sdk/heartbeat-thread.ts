import { parentPort } from 'node:worker_threads';
import type { Connection } from './config';
import { Transport } from './http';
import { LeaseKeeper, type HeldJob, type KeeperEvent, type Sign } from './lease-keeper';
import type { HeartbeatsReply } from './protocol';

/** What the main thread says; `runnerId` names whose jobs, since all runners of a process share this thread. */
export type ToThread = { runnerId: string } & (
  | { kind: 'open'; connection: Connection }
  | { kind: 'hold'; jobs: HeldJob[] }
  | { kind: 'let_go'; jobs: { jobId: string; leaseToken: string }[] }
  | { kind: 'signs'; signs: { jobId: string; leaseToken: string; sign: Sign }[] }
  | { kind: 'withdraw'; ticket: number; jobId: string; leaseToken: string }
  | { kind: 'idle_beat'; isOn: boolean }
  | { kind: 'close' }
);

export type FromThread = { runnerId: string } & (KeeperEvent | { kind: 'opened' } | { kind: 'withdrawn'; ticket: number; sign: Sign });

/**
 * The heartbeat thread: it lives beside the main thread, so that a handler which blocks the event loop does not lose
 * its lease. `heartbeats.ts` is its other end.
 */
class HeartbeatThread {
  private readonly keepers = new Map<string, { keeper: LeaseKeeper; transport: Transport }>();

  constructor(private readonly post: (message: FromThread) => void) {}

  receive(message: ToThread): void {
    if (message.kind === 'open') return this.open(message.runnerId, message.connection);
    const keeper = this.keepers.get(message.runnerId)?.keeper;
    if (keeper === undefined) return;
    switch (message.kind) {
      case 'hold':
        return keeper.hold(message.jobs);
      case 'let_go':
        return keeper.letGo(message.jobs);
      case 'signs':
        for (const { jobId, leaseToken, sign } of message.signs) keeper.sign(jobId, leaseToken, sign);
        return;
      case 'withdraw':
        return void this.withdraw(keeper, message);
      case 'idle_beat':
        return keeper.setIdleBeat(message.isOn);
      case 'close':
        return this.close(message.runnerId);
    }
  }

  private open(runnerId: string, connection: Connection): void {
    const transport = new Transport(connection);
    const keeper = new LeaseKeeper({
      runnerId,
      emit: (event) => this.post({ runnerId, ...event }),
      send: async (body, limits) => (await transport.call<HeartbeatsReply>({ method: 'POST', path: '/jobs/heartbeat', body, ...limits })).body,
    });
    this.keepers.set(runnerId, { keeper, transport });
    this.post({ runnerId, kind: 'opened' });
  }

  private async withdraw(keeper: LeaseKeeper, { runnerId, ticket, jobId, leaseToken }: ToThread & { kind: 'withdraw' }): Promise<void> {
    this.post({ runnerId, kind: 'withdrawn', ticket, sign: await keeper.withdraw(jobId, leaseToken) });
  }

  private close(runnerId: string): void {
    const open = this.keepers.get(runnerId);
    open?.keeper.close();
    void open?.transport.close();
    this.keepers.delete(runnerId);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const thread = new HeartbeatThread((message) => port.postMessage(message));
  port.on('message', (message: ToThread) => thread.receive(message));
}
