import { setting, SettingsError, type SettingsOf, unquoted } from '@baton/runner-kit';
import { readAllowed, type UrlPolicy } from '@baton/url-policy';

const allowed = setting.list().superRefine((parts, context) => {
  try {
    readAllowed(parts);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    context.addIssue({
      code: 'custom',
      message: `must be host names, addresses and networks separated by commas; ${reason}`,
    });
  }
});

const ports = setting
  .list()
  .refine(
    (parts) => parts.length > 0 && parts.every((part) => /^\d{1,5}$/.test(part) && Number(part) <= 65_535),
    'must be ports from 1 to 65535, separated by commas',
  )
  .transform((parts) => parts.map(Number));

export const httpSettings = {
  HTTP_REQUEST_ALLOW: allowed.prefault(','),
  HTTP_REQUEST_PLAIN: setting.flag().default(false),
  HTTP_REQUEST_PORTS: ports.prefault('443,80,8443,8080'),
  HTTP_REQUEST_MAX_BODY_BYTES: setting.wholeNumber(0, 150_000).default(65_536),
  HTTP_REQUEST_MAX_BYTES: setting.wholeNumber(1024, 1_000_000_000_000).default(1_073_741_824),
  HTTP_REQUEST_TYPES: setting.file().optional(),
  HTTP_REQUEST_SECRET_HOSTS: setting.list().prefault(','),
};

export const SETTINGS_PREFIX = 'HTTP_REQUEST_';
const SECRET_PREFIX = 'HTTP_REQUEST_SECRET_';

export function isSecret(name: string): boolean {
  return name.startsWith(SECRET_PREFIX) && !(name in httpSettings);
}

export function policyOf(settings: SettingsOf<typeof httpSettings>): UrlPolicy {
  return {
    ...readAllowed(settings.HTTP_REQUEST_ALLOW),
    isHttpAllowed: settings.HTTP_REQUEST_PLAIN,
    ports: settings.HTTP_REQUEST_PORTS,
  };
}

/** A secret: its name in requests, its value, and the hosts it may be sent to. */
export interface Secret {
  value: string;
  hosts: string[];
}

/**
 * Reads the secrets of the environment; `HTTP_REQUEST_SECRET_HOSTS` has a `NAME=host` pair for each host of each
 * secret.
 */
export function readSecrets(
  hostPairs: string[],
  env: Record<string, string | undefined> = process.env,
): Map<string, Secret> {
  const secrets = new Map<string, Secret>();
  for (const [name, text = ''] of Object.entries(env)) {
    const value = unquoted(text);
    if (isSecret(name) && value !== '') secrets.set(name.slice(SECRET_PREFIX.length), { value, hosts: [] });
  }
  for (const pair of hostPairs) {
    const [, name = '', host = ''] = /^([A-Z0-9_]+)=([^\s=]+)$/.exec(pair) ?? [];
    const secret = secrets.get(name);
    if (host === '')
      throw new SettingsError(
        `HTTP_REQUEST_SECRET_HOSTS must be NAME=host, separated by commas; ${JSON.stringify(pair)} is not`,
      );
    if (secret === undefined)
      throw new SettingsError(`HTTP_REQUEST_SECRET_HOSTS names ${name}, but ${SECRET_PREFIX}${name} is not set`);
    secret.hosts.push(host.toLowerCase());
  }
  for (const [name, { hosts }] of secrets)
    if (hosts.length === 0)
      throw new SettingsError(
        `${SECRET_PREFIX}${name} may be sent nowhere: name its hosts in HTTP_REQUEST_SECRET_HOSTS, as ${name}=api.example.com`,
      );
  return secrets;
}
