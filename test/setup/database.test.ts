import { Client } from 'pg';
import { openDb, sql } from '../../coordinator/store/db';
import { pendingMigrations } from '../../coordinator/store/migrate';
import { createTestDatabase, type TestDatabase } from '../support/database';

describe('createTestDatabase', () => {
  let databases: TestDatabase[] = [];
  afterEach(async () => {
    await Promise.all(databases.map((database) => database.drop()));
    databases = [];
  });

  it('makes migrated databases that know nothing of each other', async () => {
    databases = await Promise.all([createTestDatabase(), createTestDatabase(), createTestDatabase()]);
    expect(new Set(databases.map(({ url }) => url)).size).toBe(3);
    for (const { url } of databases) expect(await pendingMigrations(url)).toEqual([]);
  });
});

describe('close', () => {
  it('resolves when the server has ended its connections, so that it may be stopped at once', async () => {
    const database = await createTestDatabase();
    const watcher = new Client({ connectionString: database.url });
    await watcher.connect();
    for (let round = 0; round < 5; round += 1) {
      const db = openDb(database.url, { poolSize: 12, onError: () => undefined });
      await Promise.all(
        [db, db.hot, db.vital].flatMap((pool) => Array.from({ length: 4 }, () => pool.query(sql`SELECT 1`))),
      );
      await db.close();
      const { rows } = await watcher.query(
        `SELECT count(*)::int AS open FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'baton'`,
      );
      expect(rows).toEqual([{ open: 0 }]);
    }
    await watcher.end();
    await database.drop();
  });
});

describe('drop', () => {
  it('removes the database although somebody is connected', async () => {
    const database = await createTestDatabase();
    const client = new Client({ connectionString: database.url });
    const ended = new Promise((resolve) => client.once('end', resolve));
    client.on('error', () => undefined);
    await client.connect();
    await database.drop();
    await ended;
    await expect(pendingMigrations(database.url)).rejects.toThrow(/does not exist/);
  });
});
