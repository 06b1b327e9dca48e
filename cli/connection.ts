import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from './config';
import { Failure } from './exit-codes';
import { DEFAULT_PROFILE, Profiles, type Profile } from './profiles';

/** The coordinator and key to use, and where they come from. */
export interface ChosenConnection extends Profile {
  /** In words, such as `profile "default"`. */
  source: string;
}

export interface WantedConnection {
  url?: string | undefined;
  profile?: string | undefined;
}

/**
 * URL and key, from the first of: `--profile`; `--url` or `COORDINATOR_URL` with `BATON_KEY`; the profile
 * `BATON_PROFILE` or `default`; the coordinator of `npm start` or `baton dev` in this folder. A profile's key is sent
 * only to the profile's own URL.
 * @throws {Failure} that says what is missing
 */
export function chooseConnection(wanted: WantedConnection, environment: Environment): ChosenConnection {
  const profiles = new Profiles(environment.configDir);
  if (wanted.profile !== undefined) return namedProfile(profiles, wanted.profile, wanted.url);
  const url = wanted.url ?? environment.coordinatorUrl;
  const urlSource = wanted.url === undefined ? 'COORDINATOR_URL' : '--url';
  if (url !== undefined) return withUrl(url, urlSource, profiles, environment);
  if (environment.profile !== undefined) return namedProfile(profiles, environment.profile);
  const kept = profiles.read().get(DEFAULT_PROFILE);
  if (kept !== undefined)
    return { url: kept.url, key: environment.key ?? kept.key, source: `profile "${DEFAULT_PROFILE}"` };
  const local = localConnection(environment);
  if (local !== undefined) return local;
  throw new Failure(
    'usage',
    'no coordinator is named',
    'Run baton login, or set COORDINATOR_URL and BATON_KEY; or start one here with baton dev.',
  );
}

function withUrl(url: string, urlSource: string, profiles: Profiles, environment: Environment): ChosenConnection {
  if (environment.key !== undefined) return { url, key: environment.key, source: `${urlSource} and BATON_KEY` };
  const [name, match] = [...profiles.read()].find(([, profile]) => sameUrl(profile.url, url)) ?? [];
  if (match !== undefined) return { url, key: match.key, source: `${urlSource} and profile "${name}"` };
  const local = localConnection(environment);
  if (local !== undefined && sameUrl(local.url, url)) return { ...local, url };
  throw new Failure('usage', `there is no key for ${url}`, `Set BATON_KEY, or run: baton login ${url}`);
}

function namedProfile(profiles: Profiles, name: string, url?: string): ChosenConnection {
  const all = profiles.read();
  const profile = all.get(name);
  if (profile === undefined) {
    const known = [...all.keys()].join(', ') || 'none';
    throw new Failure(
      'usage',
      `there is no profile "${name}"; there are: ${known}`,
      `Run: baton login --profile ${name}`,
    );
  }
  if (url !== undefined && !sameUrl(url, profile.url))
    throw new Failure('usage', `profile "${name}" is for ${profile.url}, not ${url}`, 'Leave out one of the two.');
  return { ...profile, source: `profile "${name}"` };
}

/** The coordinator started by `npm start` or `baton dev` in this folder, with the key that it generated. */
function localConnection({ dataDir, port }: Environment): ChosenConnection | undefined {
  const key = readIfThere(join(dataDir, 'admin-key'));
  if (key === undefined) return undefined;
  const url = readIfThere(join(dataDir, 'url')) ?? `http://127.0.0.1:${port ?? '3001'}`;
  return { url, key, source: `the coordinator of ${dataDir}` };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function sameUrl(one: string, other: string): boolean {
  return normal(one) === normal(other);
}

function normal(url: string): string {
  return URL.canParse(url) ? new URL(url).href.replace(/\/+$/, '') : url;
}
