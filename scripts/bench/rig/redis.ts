import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, takesConnections, untilUp } from './ports';
import { BenchProcess } from './process';

/** Makes Redis as durable as PostgreSQL: every write is on disk before it is acknowledged. */
export const REDIS_SETTINGS = [
  '--appendonly',
  'yes',
  '--appendfsync',
  'always',
  '--save',
  '',
  '--maxmemory-policy',
  'noeviction',
];

const START_MS = 10_000;

export class Redis {
  private constructor(
    readonly port: number,
    private readonly server: BenchProcess,
    private readonly dir: string,
  ) {}

  static async start(): Promise<Redis> {
    const port = await freePort();
    const dir = mkdtempSync(join(tmpdir(), 'baton-bench-redis-'));
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, ...REDIS_SETTINGS];
    const server = new BenchProcess({
      name: 'redis-server (Debian: apt-get install redis-server)',
      command: 'redis-server',
      args,
    });
    const redis = new Redis(port, server, dir);
    try {
      await untilUp('redis-server', () => takesConnections(port), START_MS);
    } catch (error) {
      await redis.stop();
      throw error;
    }
    return redis;
  }

  async stop(): Promise<void> {
    await this.server.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
