import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMigrations } from '../../coordinator/store/migrate/files';

/** The first version that can be upgraded from: its commit, and the SHA-256 of each of its migrations. */
const previous = JSON.parse(readFileSync(join(__dirname, 'previous.json'), 'utf8')) as {
  commit: string;
  migrations: Record<string, string>;
};

test('the migrations of the version that can be upgraded from are as they were, and come first', () => {
  const now = readMigrations().map(({ name, checksum }) => [name, checksum]);
  const then = Object.entries(previous.migrations);
  expect(previous.commit).toMatch(/^[0-9a-f]{40}$/);
  expect(then.length).toBeGreaterThan(0);
  expect(now.slice(0, then.length)).toEqual(then);
});
