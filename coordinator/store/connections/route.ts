import type { ClientConfig } from 'pg';
import type { DatabaseAddress, DatabaseServer } from './address';

/** The way to the database: the server that takes writes, and whether TLS is used. Both are learnt from what fails. */
export class Route {
  private isEncrypted: boolean;
  private current: DatabaseServer;
  private timeline = 0;
  private search: Promise<void> | undefined;

  /** @param onMove called with the server that is the primary now, when it is another one than before */
  constructor(
    readonly address: DatabaseAddress,
    private readonly onMove: (server: DatabaseServer) => void = () => undefined,
  ) {
    this.isEncrypted = address.sslMode !== 'disable' && address.sslMode !== 'allow';
    this.current = address.servers[0];
  }

  get ssl(): ClientConfig['ssl'] {
    return this.isEncrypted ? this.address.tls : false;
  }

  /** Where connections are made. */
  get server(): DatabaseServer {
    return this.current;
  }

  /** Whether the address names several servers, of which one takes writes. */
  get hasChoice(): boolean {
    return this.address.servers.length > 1;
  }

  /**
   * Whether another attempt may succeed after this error: `prefer` continues without TLS when the server has none, and
   * `allow` with TLS when the server insists on it.
   */
  learnTls(error: unknown): boolean {
    const { sslMode } = this.address;
    if (sslMode !== 'prefer' && sslMode !== 'allow') return false;
    const text = error instanceof Error ? error.message : '';
    if (/does not support SSL|establishing an SSL connection|\bSSL (encryption|on)\b/.test(text))
      this.isEncrypted = false;
    else if (/no pg_hba\.conf entry|no encryption|SSL off|SSL.*required|insecure connection/i.test(text))
      this.isEncrypted = true;
    else if (isHandshake(error)) this.isEncrypted = false;
    else return false;
    return true;
  }

  /**
   * Remembers that a server of this timeline was written to. Each promotion begins a timeline of a higher number.
   * @returns whether none of a higher one was: a former primary that comes back does not know of its successor
   */
  accept(timeline: number): boolean {
    if (timeline < this.timeline) return false;
    this.timeline = timeline;
    return true;
  }

  /**
   * Looks for the primary, which of several servers that take writes is the one that was promoted last. Whoever asks
   * meanwhile waits for the same search.
   */
  choose(find: () => Promise<Primary[]>): Promise<void> {
    this.search ??= find()
      .then((found) => {
        const timeline = Math.max(...found.map((each) => each.timeline));
        const latest = found.filter((each) => each.timeline === timeline).map(({ server }) => server);
        const [first] = latest;
        if (first === undefined || !this.accept(timeline) || latest.includes(this.current)) return;
        this.current = first;
        this.onMove(first);
      })
      .finally(() => (this.search = undefined));
    return this.search;
  }
}

/** A server that takes writes. */
export interface Primary {
  server: DatabaseServer;
  /** Zero, where the server does not tell. */
  timeline: number;
}

function isHandshake(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && /^(ERR_SSL|ERR_TLS|EPROTO|UNABLE_|CERT_)/.test(String(error.code))
  );
}
