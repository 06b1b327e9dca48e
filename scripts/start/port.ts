import { once } from 'node:events';
import { createServer } from 'node:net';

/** An error that the user can fix, in one line. */
export class StartError extends Error {}

interface Address {
  host: string;
  port: number;
}

/** The URL of a listener on this machine. */
export function urlOf({ host, port }: Address): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/** @throws {StartError} that says what uses it, and what to do */
export async function assertPortIsFree(address: Address): Promise<void> {
  const { host, port } = address;
  if (port === 0)
    throw new StartError('PORT is 0, but npm start must know where the coordinator is; set PORT to a free one.');
  const fault = await tryToListen(address);
  if (fault === undefined) return;
  if (await isBaton(urlOf(address))) {
    throw new StartError(
      `Baton runs already at ${urlOf(address)}. Stop it first, or set PORT to another port (npm start -- --port N) and BATON_DATA_DIR to another folder.`,
    );
  }
  throw new StartError(
    fault.code === 'EADDRINUSE'
      ? `PORT ${port} is in use by another program; end that, or set PORT to a free one (npm start -- --port N).`
      : `PORT ${port} of HOST ${host} cannot be used: ${fault.message}.`,
  );
}

async function tryToListen(address: Address): Promise<NodeJS.ErrnoException | undefined> {
  const probe = createServer();
  const listening = once(probe, 'listening').then(
    () => undefined,
    (error: unknown) => error as NodeJS.ErrnoException,
  );
  probe.listen(address);
  const fault = await listening;
  if (fault === undefined) await new Promise((resolve) => probe.close(resolve));
  return fault;
}

async function isBaton(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2000) });
    return /"status":"(ready|not_ready)"/.test(await response.text());
  } catch {
    return false;
  }
}
