import { setting } from '@baton/runner-kit';
import { z } from 'zod';

const PROTOCOLS = ['https', 'http', 'ssh', 'file'];

const root = z.string().refine((text) => protocolOf(text) !== null, `must be URLs of ${PROTOCOLS.join(', ')}`);

export const repositoriesSettings = {
  REPOSITORIES_ROOTS: z
    .string({ error: 'must be set to where repositories may be, such as https://github.com/my-company/' })
    .pipe(setting.list())
    .pipe(z.array(root).min(1)),
  REPOSITORIES_MOST_SECONDS: setting.wholeNumber(1, 3600).default(600),
};

/** Of a URL that git takes; null: of none. */
export function protocolOf(url: string): string | null {
  const found = /^([a-z]+):\/\//.exec(url)?.[1] ?? '';
  return PROTOCOLS.includes(found) ? found : null;
}

/** The environment of git: no settings of this host, and no question to a person. */
export function gitEnvironment(
  home: string,
  env: Record<string, string | undefined> = process.env,
): Record<string, string> {
  return {
    ...{ PATH: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin', HOME: home, LC_ALL: 'C' },
    ...{
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: 'true',
      GIT_SSH_COMMAND: 'ssh -o BatchMode=yes',
    },
  };
}
