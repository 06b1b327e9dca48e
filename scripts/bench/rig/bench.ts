import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sizes } from '../sizes';
import type { Sample } from '../result';
import { NotOnceError, requireOnce, type Sightings } from '../verify';
import { Baton, type Spent } from './baton';
import { startPeer } from './peers';
import { type Database, Postgres, type Statement } from './postgres';
import { Redis } from './redis';

const PEER_MS = 600_000;

interface BenchOptions {
  profiles: boolean;
  explains: boolean;
}

/** The environment of the lines: one PostgreSQL, with a fresh database for each run of each system. */
export class Bench {
  /** The cost of Baton's runs, read before their databases are dropped; only if it is to be explained. */
  readonly costs: { spent: Spent; statements: Statement[] }[] = [];

  /** By number of coordinators; reused only if starting them would take longer than the lines. */
  private readonly kept = new Map<number, Baton>();

  private constructor(
    readonly postgres: Postgres,
    readonly sizes: Sizes,
    readonly dir: string,
    private readonly options: BenchOptions,
  ) {}

  static async open(sizes: Sizes, options: BenchOptions): Promise<Bench> {
    const dir = mkdtempSync(join(tmpdir(), 'baton-bench-'));
    // When run as root, PostgreSQL runs as another user, which must be able to enter the folder.
    chmodSync(dir, 0o755);
    return new Bench(await Postgres.start(join(dir, 'postgres'), options.explains), sizes, dir, options);
  }

  async close(): Promise<void> {
    for (const baton of this.kept.values()) await baton.stop();
    await this.postgres.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  get profileDir(): string | undefined {
    return this.options.profiles ? join(this.dir, 'profiles') : undefined;
  }

  /** @param options `isFresh`: never reuses coordinators */
  async withBaton<T>(
    use: (baton: Baton) => Promise<T>,
    { coordinators = 1, isFresh = false }: { coordinators?: number; isFresh?: boolean } = {},
  ): Promise<T> {
    // Profiles are written when their process ends.
    const isKept = this.sizes.keepsCoordinators && !isFresh && !this.options.profiles;
    const kept = isKept ? this.kept.get(coordinators) : undefined;
    const baton = kept ?? (await Baton.start(this.postgres, { profileDir: this.profileDir, coordinators }));
    if (kept !== undefined) await kept.forgetPreparation();
    if (isKept) this.kept.set(coordinators, baton);
    try {
      const result = await use(baton);
      if (this.options.explains)
        this.costs.push({ spent: baton.spent(), statements: await baton.database.statements() });
      return result;
    } finally {
      if (!isKept) await baton.stop();
    }
  }

  /** Runs a peer with a PostgreSQL database of its own; `watch` observes it. */
  async withPostgresPeer(
    script: string,
    order: PeerOrder,
    watch?: (database: Database, started: Promise<unknown>) => Promise<Sample>,
  ): Promise<PeerFound> {
    const database = await this.postgres.createDatabase();
    const peer = startPeer(script, { ...order, databaseUrl: database.url });
    try {
      const watched = watch?.(database, peer.next('started', PEER_MS));
      const found = (await peer.next('done', PEER_MS)) as PeerFound;
      requireDone(script, order, found);
      return { ...found, ...(await watched) };
    } finally {
      await peer.stop();
      await database.drop();
    }
  }

  async withRedisPeer(script: string, order: PeerOrder): Promise<PeerFound> {
    const redis = await Redis.start();
    const peer = startPeer(script, { ...order, redisPort: redis.port });
    try {
      const found = (await peer.next('done', PEER_MS)) as PeerFound;
      requireDone(script, order, found);
      return found;
    } finally {
      await peer.stop();
      await redis.stop();
    }
  }
}

export interface PeerOrder {
  task: string;
  count: number;
  warmUp?: number;
  inFlight?: number;
  perSecond?: number;
  forMs?: number;
}

export interface PeerFound {
  [name: string]: unknown;
  /** Jobs seen by its handlers. */
  sightings?: Sightings;
  /** Number of jobs in its store as created, or as completed, at the end. */
  stored?: number;
  /** Number of jobs still in its store that should be gone. */
  left?: number;
}

/** The same check for all systems: each job was handled once, and the store agrees. */
function requireDone(peer: string, { count, warmUp = 0 }: PeerOrder, { sightings, stored, left }: PeerFound): void {
  const total = count + warmUp;
  if (sightings !== undefined) requireOnce(peer, total, sightings);
  if (left !== undefined && left !== 0 && sightings !== undefined)
    throw new NotOnceError(`${peer}: ${left} jobs are left in its store`);
  if (stored !== undefined && stored !== total)
    throw new NotOnceError(`${peer}: its store holds ${stored} of ${total} jobs`);
}
