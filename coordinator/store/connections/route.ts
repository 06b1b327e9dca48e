import type { ClientConfig } from 'pg';
import type { DatabaseAddress, DatabaseServer } from './address';

/** The way to the database: the server that takes writes, and whether TLS is used. Both are learnt from what fails. */
export class Route {
  private isEncrypted: boolean;
  private current: DatabaseServer;
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

  /** Looks for the server that takes writes; whoever asks meanwhile waits for the same search. */
  choose(find: () => Promise<DatabaseServer | null>): Promise<void> {
    this.search ??= find()
      .then((found) => {
        if (found === null || found === this.current) return;
        this.current = found;
        this.onMove(found);
      })
      .finally(() => (this.search = undefined));
    return this.search;
  }
}

function isHandshake(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && /^(ERR_SSL|ERR_TLS|EPROTO|UNABLE_|CERT_)/.test(String(error.code))
  );
}
