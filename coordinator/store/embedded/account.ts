import { spawnSync } from 'node:child_process';
import { lstatSync } from 'node:fs';

/** A fault of the embedded PostgreSQL. The message is one line that says what was wrong and what to do. */
export class EmbeddedDatabaseError extends Error {}

/** The account that runs the server's programs; undefined: that of this process. */
export type Account = { uid: number; gid: number } | undefined;

const SERVER_USER = 'postgres';

/**
 * PostgreSQL refuses to run as root. As root, its programs run as the owner of the data if there are any, else as the
 * system user `postgres`, which is created if it is missing.
 * @param clusterDir the server's data directory, which need not exist
 * @throws {EmbeddedDatabaseError} when there is no such user and none can be created
 */
export function chooseAccount(clusterDir: string): Account {
  if (process.getuid?.() !== 0) return undefined;
  const owner = lstatSync(clusterDir, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  return lookUp(SERVER_USER) ?? createUser();
}

/** Whether the account can enter the folder. It is tried, because modes alone do not tell. */
export function canEnter(account: Account, folder: string): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd "$0"', folder], { ...account, cwd: '/', stdio: 'ignore' }).status === 0;
}

function createUser(): Account {
  const attempts: [string, string[]][] = [
    [
      'useradd',
      [
        '--system',
        '--user-group',
        '--no-create-home',
        '--home-dir',
        '/nonexistent',
        '--shell',
        '/bin/false',
        SERVER_USER,
      ],
    ],
    ['adduser', ['-S', '-D', '-H', '-s', '/bin/false', SERVER_USER]],
  ];
  for (const [command, args] of attempts) {
    spawnSync(command, args, { cwd: '/', stdio: 'ignore' });
    const account = lookUp(SERVER_USER);
    if (account !== undefined) return account;
  }
  throw new EmbeddedDatabaseError(
    `PostgreSQL does not run as root, and the system user ${SERVER_USER} could not be made. ` +
      `Run Baton as another user, create ${SERVER_USER}, or set DATABASE_URL.`,
  );
}

function lookUp(name: string): Account {
  const [uid, gid] = ['-u', '-g'].map((flag) => {
    const { status, stdout } = spawnSync('id', [flag, name], { cwd: '/', encoding: 'utf8' });
    return status === 0 ? Number.parseInt(stdout, 10) : undefined;
  });
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}
