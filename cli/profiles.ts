import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Failure } from './exit-codes';

/** A named coordinator and a key for it. */
export interface Profile {
  url: string;
  key: string;
}

export const DEFAULT_PROFILE = 'default';
const FILE_MODE = 0o600;
const OTHERS = 0o077;

/** The profiles of `baton login`, in one file that only its owner can read. */
export class Profiles {
  readonly file: string;

  constructor(configDir: string) {
    this.file = join(configDir, 'profiles.json');
  }

  /** Throws `Failure` for a file that others can read, or with invalid content. */
  read(): Map<string, Profile> {
    const text = this.text();
    if (text === undefined) return new Map();
    if (!this.isPrivate()) {
      throw new Failure(
        'usage',
        `${this.file} can be read by other users, and it holds keys`,
        `Run: chmod 600 ${this.file}, or baton doctor --fix; and rotate the keys if others may have read them.`,
      );
    }
    return profilesOf(text, this.file);
  }

  save(name: string, profile: Profile): void {
    this.write(this.read().set(name, profile));
  }

  /** `false`: there is no such profile. */
  remove(name: string): boolean {
    const profiles = this.read();
    if (!profiles.delete(name)) return false;
    this.write(profiles);
    return true;
  }

  /** Whether only the owner can read the file, or it does not exist. Windows has no such modes. */
  isPrivate(): boolean {
    if (process.platform === 'win32') return true;
    const stats = statSync(this.file, { throwIfNoEntry: false });
    return stats === undefined || (stats.mode & OTHERS) === 0;
  }

  makePrivate(): void {
    chmodSync(this.file, FILE_MODE);
  }

  private write(profiles: Map<string, Profile>): void {
    const json = `${JSON.stringify({ profiles: Object.fromEntries(profiles) }, null, 2)}\n`;
    // A new file replaces the old one, so that a crash leaves one of them intact.
    const next = `${this.file}.${process.pid}`;
    mkdirSync(dirname(this.file), { recursive: true, mode: 0o700 });
    writeFileSync(next, json, { mode: FILE_MODE });
    renameSync(next, this.file);
  }

  private text(): string | undefined {
    try {
      return readFileSync(this.file, 'utf8');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      throw new Failure('internal', `${this.file} cannot be read: ${message}`);
    }
  }
}

function profilesOf(text: string, file: string): Map<string, Profile> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const named = isObject(value) && isObject(value['profiles']) ? Object.entries(value['profiles']) : undefined;
  const found = new Map<string, Profile>();
  for (const [name, profile] of named ?? []) {
    if (isObject(profile) && typeof profile['url'] === 'string' && typeof profile['key'] === 'string')
      found.set(name, { url: profile['url'], key: profile['key'] });
  }
  if (named?.length === found.size) return found;
  throw new Failure('usage', `${file} is not a file of profiles`, 'Delete it and run baton login again.');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
