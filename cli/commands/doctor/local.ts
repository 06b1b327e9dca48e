import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cli } from '../../cli';
import type { ChosenConnection } from '../../connection';
import { Failure } from '../../exit-codes';
import { Profiles } from '../../profiles';
import { type Finding, ok, problem } from './finding';

const CHECK = 'configuration';
const OTHERS = 0o077;

/** Which coordinator is called, and whether keys that are kept here are private. */
export function checkLocal(cli: Cli): { findings: Finding[]; connection: ChosenConnection | undefined } {
  const findings = [...privacy(new Profiles(cli.environment.configDir)), ...privacyOfKey(cli.environment.dataDir)];
  // Before the profiles are read, because a file that others can read is refused.
  if (findings.some(({ level }) => level === 'problem')) return { findings, connection: undefined };
  try {
    const connection = cli.connection();
    return { findings: [...findings, ok(CHECK, `${connection.url}, from ${connection.source}`)], connection };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const found = problem(CHECK, error.message, 'No command can reach a coordinator.', error.advice ?? '');
    return { findings: [...findings, found], connection: undefined };
  }
}

function privacy(profiles: Profiles): Finding[] {
  if (profiles.isPrivate()) return [];
  return [
    {
      ...problem(
        CHECK,
        `${profiles.file} can be read by other users`,
        'It holds keys, and is refused until it is private.',
        'Rotate the keys if others may have read them.',
      ),
      fix: () => {
        profiles.makePrivate();
        return 'only its owner can read it now';
      },
    },
  ];
}

/** The key that a coordinator on the embedded database made. */
function privacyOfKey(dataDir: string): Finding[] {
  const file = join(dataDir, 'admin-key');
  const stats = process.platform === 'win32' ? undefined : statSync(file, { throwIfNoEntry: false });
  if (stats === undefined || (stats.mode & OTHERS) === 0) return [];
  return [
    {
      ...problem(
        CHECK,
        `${file} can be read by other users`,
        'Whoever has this key may do everything.',
        'Rotate it if others may have read it.',
      ),
      fix: () => {
        chmodSync(file, 0o600);
        return 'only its owner can read it now';
      },
    },
  ];
}
