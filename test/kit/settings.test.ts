import { z } from 'zod';
import { readSettings, setting, SettingsError } from '@baton/runner-kit';

const shape = {
  MAIL_HOST: z.string(),
  MAIL_PORT: setting.wholeNumber(1, 65_535).default(25),
  MAIL_PASSWORD: setting.secret().optional(),
  MAIL_SECURE: setting.flag().default(false),
  MAIL_FOLDER: setting.folder().optional(),
  RUNNER_WORK_DIR: setting.newFolder().default('.baton/work'),
};
const read = (env: Record<string, string>) => readSettings(shape, { env, prefix: 'MAIL_' });

it('reads text, numbers, flags and defaults, and takes an empty variable for none', () => {
  expect(read({ MAIL_HOST: '"smtp.example"', MAIL_PORT: '', MAIL_SECURE: 'true', HOME: '/root' })).toEqual({
    ...{ MAIL_HOST: 'smtp.example', MAIL_PORT: 25, MAIL_SECURE: true, RUNNER_WORK_DIR: '.baton/work' },
  });
});

it.each([
  [{}, 'MAIL_HOST must be set'],
  [{ MAIL_PORT: '70000' }, 'MAIL_PORT is "70000", but must be a whole number from 1 to 65535'],
  [{ MAIL_SECURE: 'yes' }, 'MAIL_SECURE is "yes", but must be true or false'],
  [{ MAIL_PASSWORD: 'two words' }, 'MAIL_PASSWORD must be visible ASCII without spaces'],
  [{ MAIL_FOLDER: '/nowhere/at/all' }, 'MAIL_FOLDER is "/nowhere/at/all", but must be a folder'],
  [{ RUNNER_WORK_DIR: __filename }, `RUNNER_WORK_DIR is "${__filename}", but must be a folder, or not be there yet`],
  [{ MAIL_HOTS: 'x' }, 'MAIL_HOTS is not a setting of this runner. Did you mean MAIL_HOST?'],
  [{ MAIL_SERVER: 'x' }, 'MAIL_SERVER is not a setting of this runner. Did you mean MAIL_SECURE?'],
  [{ RUNNER_WORKDIR: '/tmp' }, 'RUNNER_WORKDIR is not a setting of this runner. Did you mean RUNNER_WORK_DIR?'],
  [{ RUNNER_CONCURENCY: '3' }, 'RUNNER_CONCURENCY is not a setting of this runner. Did you mean RUNNER_CONCURRENCY?'],
])('refuses %j in one line', (env, message) => {
  const reading = () => read(Object.keys(env).length === 0 ? {} : { MAIL_HOST: 'smtp.example', ...env });
  expect(reading).toThrow(SettingsError);
  expect(reading).toThrow(new SettingsError(message));
});

it("leaves other programs' variables alone", () => {
  const others = {
    RUNNER_TOOL_CACHE: '/opt',
    STORAGE_ACCOUNT: 'x',
    MAIL_SERVICE_HOST: '10.0.0.1',
    MAIL_PORT_25_TCP_ADDR: '10.0.0.1',
  };
  expect(read({ MAIL_HOST: 'smtp.example', ...others })).toMatchObject({ MAIL_HOST: 'smtp.example' });
});
