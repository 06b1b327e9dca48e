import { Client } from 'pg';
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
