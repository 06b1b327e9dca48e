import { connect, type Socket } from 'node:net';

/** A connection that says what it likes, as slowly as it likes. */
export class RawSocket {
  heard = '';
  readonly closed: Promise<void>;

  private constructor(private readonly socket: Socket) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.on('data', (data) => (this.heard += data.toString()));
  }

  static open(url: string): Promise<RawSocket> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const raw = new RawSocket(socket);
    return new Promise((resolve) => {
      socket.once('connect', () => resolve(raw));
      socket.once('close', () => resolve(raw));
    });
  }

  say(text: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(text);
  }

  end(): void {
    this.socket.destroy();
  }
}
