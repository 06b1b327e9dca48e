import path from 'node:path';
import { ConfigError, readConfig } from '../../runners/quotes/config';

const KEY = 'runner-key-for-tests';

describe('readConfig', () => {
  it('has a default for all but the key', () => {
    expect(readConfig({ RUNNER_KEY: KEY, TMDB_API_KEY: '' })).toEqual({
      coordinatorUrls: ['http://127.0.0.1:3001'],
      runnerKey: KEY,
      concurrency: 4,
      quotesDirectory: path.dirname(require.resolve('popular-movie-quotes/data/data.json')),
      outputDirectory: path.join('.baton', 'quotes'),
      tmdb: null,
    });
  });

  it('reads every setting', () => {
    const env = {
      COORDINATOR_URL: 'http://a.test:3001, https://b.test/baton',
      RUNNER_KEY: KEY,
      RUNNER_CONCURRENCY: '8',
      QUOTES_DIR: __dirname,
      QUOTES_OUTPUT_DIR: path.join(__dirname, 'not', 'yet'),
      TMDB_API_KEY: 'abc',
      TMDB_BASE_URL: 'http://127.0.0.1:9999/3',
      TMDB_TIMEOUT_MS: '500',
    };
    expect(readConfig(env)).toEqual({
      coordinatorUrls: ['http://a.test:3001', 'https://b.test/baton'],
      runnerKey: KEY,
      concurrency: 8,
      quotesDirectory: __dirname,
      outputDirectory: path.join(__dirname, 'not', 'yet'),
      tmdb: { baseUrl: 'http://127.0.0.1:9999/3', apiKey: 'abc', timeoutMs: 500 },
    });
  });

  it.each([
    ['RUNNER_KEY', undefined, 'RUNNER_KEY must be set to an API key of role runner'],
    ['RUNNER_KEY', 'two words', 'RUNNER_KEY must be visible ASCII without spaces'],
    ['COORDINATOR_URL', 'localhost:3001', 'COORDINATOR_URL must be a URL such as http://127.0.0.1:3001'],
    ['COORDINATOR_URL', 'http://a.test,', 'COORDINATOR_URL must be a URL such as http://127.0.0.1:3001'],
    ['RUNNER_CONCURRENCY', '0', 'RUNNER_CONCURRENCY is "0", but is not valid: Too small: expected number to be >=1'],
    [
      'RUNNER_CONCURRENCY',
      'many',
      'RUNNER_CONCURRENCY is "many", but is not valid: Invalid input: expected number, received NaN',
    ],
    ['QUOTES_DIR', '/nowhere/at/all', 'QUOTES_DIR is "/nowhere/at/all", but must be a directory'],
    ['QUOTES_DIR', __filename, `QUOTES_DIR is ${JSON.stringify(__filename)}, but must be a directory`],
    [
      'QUOTES_OUTPUT_DIR',
      __filename,
      `QUOTES_OUTPUT_DIR is ${JSON.stringify(__filename)}, but must be a directory, or not be there yet`,
    ],
    ['TMDB_BASE_URL', 'ftp://a.test', 'TMDB_BASE_URL must be a URL such as https://api.themoviedb.org/3'],
    ['TMDB_BASE_URL', 'https://a.test/3?x=1', 'TMDB_BASE_URL must have no query, fragment or user'],
    ['TMDB_TIMEOUT_MS', '5', 'TMDB_TIMEOUT_MS is "5", but is not valid: Too small: expected number to be >=100'],
    ['TMDB_API_KEY', 'a\nb', 'TMDB_API_KEY must be visible ASCII without spaces'],
  ])('refuses %s=%j in one line', (name, value, message) => {
    const reading = () => readConfig({ RUNNER_KEY: KEY, [name]: value });
    expect(reading).toThrow(ConfigError);
    expect(reading).toThrow(new ConfigError(message));
    expect(message).not.toContain('\n');
  });
});
