import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy between a test and a server, that can go silent without closing anything, or cut everything. */
export interface TcpProxy {
  port: number;
  /** Nothing passes any more; connections stay open, new ones are taken and left unanswered. */
  goSilent(): void;
  /** Half-open: nothing passes any more on the connections there are, and nobody is told; new ones pass. */
  freeze(): void;
  /** Connections are cut, new ones too. */
  cut(): void;
  /** What is sent from now on passes, on new connections. */
  heal(): void;
  stop(): Promise<void>;
}

export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let mode: 'open' | 'silent' | 'cut' = 'open';
  const frozen = new WeakSet<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  };
  const pass = (from: Socket, to: Socket): void => {
    from.on('data', (data) => {
      if (mode === 'open' && !frozen.has(from)) to.write(data);
    });
    from.on('close', () => frozen.has(from) || to.destroy());
  };
  const server = createServer((inner) => {
    keep(inner);
    if (mode === 'cut') return void inner.destroy();
    if (mode === 'silent') return;
    const outer = connect(target);
    keep(outer);
    pass(inner, outer);
    pass(outer, inner);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const destroyAll = () => sockets.forEach((socket) => socket.destroy());
  return {
    port: (server.address() as AddressInfo).port,
    goSilent: () => (mode = 'silent'),
    freeze: () => sockets.forEach((socket) => frozen.add(socket)),
    cut() {
      mode = 'cut';
      destroyAll();
    },
    heal() {
      mode = 'open';
      destroyAll();
    },
    async stop() {
      destroyAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
