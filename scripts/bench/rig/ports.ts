import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A port of 127.0.0.1 that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Waits until `isUp` returns true. @throws Error when it does not within the time */
export async function untilUp(who: string, isUp: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (!(await isUp())) {
    if (performance.now() > until) throw new Error(`${who} was not up within ${timeoutMs} ms`);
    await sleep(20);
  }
}

export function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const end = (isUp: boolean) => () => (socket.destroy(), resolve(isUp));
    socket.once('connect', end(true)).once('error', end(false));
  });
}
