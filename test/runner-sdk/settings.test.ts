import { ConfigurationError, Runner } from '@baton/runner-sdk';
import { connectionOf } from '../../runner-sdk/transport/config';
import { withSettings, type RunnerSettings } from '../../runner-sdk/runner/runner-config';

const NUMBER = 'a whole number from 1 to 10000, or a range of them such as 1-20';
const QUEUES = 'at most 200 names of queues separated by commas, such as mails,films';
const LABELS = 'at most 50 different names with values, such as region=eu,gpu=true,memoryGb=64';
const numbered = (count: number, text: string) => Array.from({ length: count }, (_none, n) => `n${n}${text}`).join();

const GOOD: [string, string, RunnerSettings][] = [
  ['RUNNER_CONCURRENCY', ' 8 ', { concurrency: 8 }],
  ['RUNNER_CONCURRENCY', '1-10000', { concurrency: { min: 1, max: 10_000 } }],
  ['RUNNER_GRACE_MS', '0', { graceMs: 0 }],
  ['RUNNER_LEASE_MS', '600000', { leaseMs: 600_000 }],
  ['RUNNER_QUEUES', 'mails, films', { queues: ['mails', 'films'] }],
  [
    'RUNNER_LABELS',
    'region=eu, gpu=true,memoryGb=64,version=1.10',
    { labels: { region: 'eu', gpu: true, memoryGb: 64, version: '1.10' } },
  ],
  ['RUNNER_LOG_LEVEL', 'WARN', { logLevel: 'warn' }],
];

it.each(GOOD)('%s=%j sets an option', (variable, text, settings) => {
  expect(withSettings({}, { [variable]: text })).toEqual(settings);
});

it.each(GOOD)('%s=%j is passed over beside the option, and so is a bad value', (variable, text, settings) => {
  const given: RunnerSettings = {
    concurrency: 3,
    graceMs: 4,
    leaseMs: 5000,
    queues: ['mine'],
    labels: { mine: true },
    logLevel: 'error',
  };
  expect(withSettings(given, { [variable]: text })).toEqual(given);
  expect(withSettings(given, { [variable]: '=' })).toEqual(given);
  const [option = ''] = Object.keys(settings);
  expect(withSettings({ [option]: undefined }, { [variable]: text })).toEqual(settings);
});

it.each(GOOD)('%s=%j may be in quotes', (variable, text, settings) => {
  expect(withSettings({}, { [variable]: `"${text}"` })).toEqual(settings);
  expect(withSettings({}, { [variable]: ` '${text}' ` })).toEqual(settings);
});

it('the connection and the proxies may be in quotes', () => {
  const environment = {
    COORDINATOR_URL: '"http://one:3001, http://two:3001"',
    RUNNER_KEY: "'a-key-of-this-test'",
    HTTP_PROXY: '"proxy:3128"',
    NO_PROXY: '"localhost"',
  };
  expect(connectionOf({}, environment)).toEqual({
    urls: ['http://one:3001', 'http://two:3001'],
    apiKey: 'a-key-of-this-test',
    proxies: { httpProxy: 'http://proxy:3128', httpsProxy: '', noProxy: 'localhost' },
  });
  expect(connectionOf({ coordinatorUrl: '"http://one:3001"', apiKey: '"given"', proxy: false }, environment)).toEqual({
    urls: ['http://one:3001'],
    apiKey: 'given',
  });
});

it.each(GOOD)('%s counts as not set when it is empty', (variable) => {
  expect(withSettings({}, { [variable]: ' ' })).toEqual({});
});

describe.each([
  ['RUNNER_CONCURRENCY', NUMBER, ['0', '-1', '1.5', '1e3', 'many', '20-1', '0-5', '1-', '10001', '1-10001']],
  ['RUNNER_GRACE_MS', 'a whole number of milliseconds from 0 to 86400000', ['-1', '20s', '1.5', '86400001', 'NaN']],
  ['RUNNER_LEASE_MS', 'a whole number of milliseconds from 1000 to 600000', ['999', '600001', '30s', '1e4']],
  ['RUNNER_QUEUES', QUEUES, ['mails,', ',', 'two words', '-mails', 'q'.repeat(201), numbered(201, '')]],
  [
    'RUNNER_LABELS',
    LABELS,
    ['gpu', '=eu', 'region=', 'a=1,a=2', 'a=1,', 'two words=1', '__proto__=1', 'a=x\ny', numbered(51, '=1')],
  ],
  ['RUNNER_LOG_LEVEL', 'one of debug, info, warn, error, silent', ['verbose', '3', 'info,warn', 'info\nwarn']],
])('%s', (variable, allowed, bad) => {
  afterEach(() => {
    delete process.env[variable];
  });

  it.each(bad)('%j is refused in one line that names it, tells what it had and what is allowed', (text) => {
    process.env[variable] = text;
    const make = () => new Runner({ coordinatorUrl: 'http://127.0.0.1:1', apiKey: 'key' });
    const message = `${variable} must be ${allowed}; it is ${JSON.stringify(text.slice(0, 200))}`;
    expect(make).toThrow(new ConfigurationError(message));
    expect(make).toThrow(ConfigurationError);
    expect(message).not.toContain('\n');
  });
});
