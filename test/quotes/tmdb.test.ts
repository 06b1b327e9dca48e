import { NonRetryableError, RetryAfterError } from '@baton/runner-sdk';
import { runHandler } from '@baton/runner-sdk/testing';
import type { ServerResponse } from 'node:http';
import { TmdbClient } from '../../runners/quotes/tmdb/client';
import { film, tmdbSync } from '../../runners/quotes/tmdb/job';
import { send, startTmdbServer, THE_MATRIX, tmdbError, type TmdbServer } from './tmdb-server';

const V3_KEY = '0123456789abcdef0123456789abcdef';
const V4_TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ0bWRiIn0.c2lnbmF0dXJl-_x';

let tmdb: TmdbServer;
beforeEach(async () => {
  tmdb = await startTmdbServer();
});
afterEach(() => tmdb.close());

function client(apiKey = V3_KEY, timeoutMs = 5000): TmdbClient {
  return new TmdbClient({ baseUrl: tmdb.baseUrl, apiKey, timeoutMs });
}

/** What asking for a film fails with; whatever it is, it must not hold the key. */
async function failure(asking: Promise<unknown>): Promise<Error & { code?: string; retryAfterMs?: number }> {
  const error: unknown = await asking.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error('what was thrown is no Error');
  for (let link: unknown = error; link instanceof Error; link = link.cause) {
    expect(`${link.message} ${link.stack} ${JSON.stringify(link)}`).not.toContain(V3_KEY);
    expect(`${link.message} ${link.stack} ${JSON.stringify(link)}`).not.toContain(V4_TOKEN);
  }
  return error;
}

const ask = (asker = client()) => asker.movie(603, new AbortController().signal);

describe('a film', () => {
  it('is fetched with its credits in one call', async () => {
    const fetched = await ask();
    expect(film.parse(fetched)).toEqual(fetched);
    expect(fetched).toEqual({
      tmdbId: 603,
      imdbId: 'tt0133093',
      title: 'The Matrix',
      originalTitle: 'The Matrix',
      originalLanguage: 'en',
      tagline: 'Believe the unbelievable.',
      overview: 'Set in the 22nd century, The Matrix tells the story of a computer hacker.',
      releaseDate: '1999-03-31',
      year: 1999,
      runtimeMinutes: 136,
      genres: ['Action', 'Science Fiction'],
      directors: ['Lilly Wachowski', 'Lana Wachowski'],
      cast: [
        { name: 'Keanu Reeves', character: 'Neo' },
        { name: 'Laurence Fishburne', character: 'Morpheus' },
        { name: 'Carrie-Anne Moss', character: 'Trinity' },
        ...Array.from({ length: 7 }, (_, index) => ({ name: `Agent ${index}`, character: null })),
      ],
      voteAverage: 8.217,
      voteCount: 26251,
    });
    expect(tmdb.requests.map(({ url }) => `${url.pathname}${url.search}`)).toEqual([
      `/3/movie/603?append_to_response=credits&api_key=${V3_KEY}`,
    ]);
    expect(tmdb.requests[0]?.authorization).toBeUndefined();
  });

  it('is asked for with a bearer token when the key is a read access token', async () => {
    await ask(client(V4_TOKEN));
    expect(tmdb.requests[0]?.authorization).toBe(`Bearer ${V4_TOKEN}`);
    expect(tmdb.requests[0]?.url.search).toBe('?append_to_response=credits');
  });

  it('may lack what The Movie Database does not know', async () => {
    const bare = {
      ...THE_MATRIX,
      imdb_id: null,
      tagline: '',
      overview: '',
      release_date: '',
      runtime: 0,
      genres: [],
      vote_average: 0,
      vote_count: 0,
      credits: { cast: [], crew: [] },
    };
    tmdb.answer = (_request, response) => send(response, 200, JSON.stringify(bare));
    expect(await ask()).toMatchObject({
      imdbId: null,
      tagline: null,
      overview: null,
      releaseDate: null,
      year: null,
      runtimeMinutes: null,
      voteAverage: null,
      directors: [],
      cast: [],
    });
  });
});

describe('a refusal', () => {
  it.each([
    ['4', {}, 4000],
    ['Wed, 21 Oct 2015 07:28:30 GMT', { date: 'Wed, 21 Oct 2015 07:28:00 GMT' }, 30_000],
    ['Wed, 21 Oct 2015 07:27:00 GMT', { date: 'Wed, 21 Oct 2015 07:28:00 GMT' }, 0],
    ['soon', {}, 10_000],
    ['99999999999', {}, 86_400_000],
    [undefined, {}, 10_000],
  ])('of too many requests (Retry-After: %s) is tried again when it says', async (retryAfter, headers, expectedMs) => {
    const body = tmdbError(25, 'Your request count (41) is over the allowed limit of (40).');
    tmdb.answer = (_request, response) =>
      send(response, 429, body, { ...headers, ...(retryAfter !== undefined && { 'retry-after': retryAfter }) });
    const error = await failure(ask());
    expect(error).toBeInstanceOf(RetryAfterError);
    expect(error.retryAfterMs).toBe(expectedMs);
    expect(error.message).toContain('over the allowed limit');
  });

  it.each([
    [
      404,
      tmdbError(34, 'The resource you requested could not be found.'),
      'tmdb_not_found',
      'could not be found. (status_code 34)',
    ],
    [401, tmdbError(7, 'Invalid API key: You must be granted a valid key.'), 'tmdb_key_refused', 'set TMDB_API_KEY'],
    [
      422,
      tmdbError(5, 'Invalid parameters: Your request parameters are incorrect.'),
      'tmdb_refused',
      'Invalid parameters',
    ],
    [302, '', 'tmdb_refused', 'with 302'],
  ])('%i is final', async (status, body, code, text) => {
    tmdb.answer = (_request, response) => send(response, status, body);
    const error = await failure(ask());
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(error.code).toBe(code);
    expect(error.message).toContain(text);
  });

  it.each([
    [500, tmdbError(11, 'Internal error: Something went wrong, contact TMDb.'), 'Internal error'],
    [503, tmdbError(9, 'Service offline: This service is temporarily offline, try again later.'), 'Service offline'],
    [504, '<html>Gateway Timeout</html>', 'with 504'],
  ])('%i is worth another try', async (status, body, text) => {
    tmdb.answer = (_request, response) => send(response, status, body);
    const error = await failure(ask());
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error).not.toBeInstanceOf(RetryAfterError);
    expect(error.message).toContain(text);
  });

  it('never repeats the key, though the answer does', async () => {
    tmdb.answer = (request, response) => send(response, 401, tmdbError(7, `Invalid API key in ${request.url}`));
    expect((await failure(ask())).message).toContain('api_key=[key]');
  });
});

describe('a broken answer', () => {
  it.each([
    ['that is not JSON', (body: string) => body.slice(0, 100), 'not JSON'],
    ['that is empty', () => '', 'not JSON'],
  ])('%s is worth another try', async (_name, garble, text) => {
    tmdb.answer = (_request, response) => send(response, 200, garble(JSON.stringify(THE_MATRIX)));
    const error = await failure(ask());
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error.message).toContain(text);
  });

  it('of another shape is final and names the field', async () => {
    tmdb.answer = (_request, response) =>
      send(response, 200, JSON.stringify({ ...THE_MATRIX, credits: { cast: [], crew: 'none' } }));
    const error = await failure(ask());
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(error.message).toContain('credits.crew');
  });

  it.each([
    ['before the answer', (response: ServerResponse) => response.destroy()],
    [
      'inside the answer',
      (response: ServerResponse) => {
        response.writeHead(200, { 'content-length': '5000' });
        response.write('{"id":', () => response.destroy());
      },
    ],
  ])('whose connection breaks %s is worth another try', async (_name, breakOff) => {
    tmdb.answer = (_request, response) => breakOff(response);
    const error = await failure(ask());
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error.message).toMatch(/^The Movie Database could not be reached for \/movie\/603: ./);
  });

  it('without end is given up', async () => {
    tmdb.answer = (_request, response) => {
      response.writeHead(200);
      const more = () => response.write('x'.repeat(1 << 20), (fault) => (fault ? undefined : more()));
      more();
    };
    expect((await failure(ask())).message).toContain('more than 8388608 bytes');
  });

  it('of a server that is not there is worth another try', async () => {
    await tmdb.close();
    const error = await failure(ask());
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error.message).toContain('could not be reached');
  });

  it.each([
    ['before', () => undefined],
    ['inside', (response: ServerResponse) => response.writeHead(200).write('{')],
  ])('of a server that falls silent %s it is worth another try after the timeout', async (_name, begin) => {
    tmdb.answer = (_request, response) => void begin(response);
    const error = await failure(ask(client(V3_KEY, 100)));
    expect(error).not.toBeInstanceOf(NonRetryableError);
    expect(error.message).toBe('The Movie Database did not answer /movie/603 within 100 ms');
  });
});

it("a job's signal ends the call, with the signal's own reason", async () => {
  const stop = new AbortController();
  const reason = new Error('the job was cancelled');
  tmdb.answer = () => stop.abort(reason);
  expect(await failure(client().movie(603, stop.signal))).toBe(reason);
});

describe('TMDB_SYNC', () => {
  const sync = (movieId: unknown) =>
    runHandler(tmdbSync, (args, job) => client().movie(args.movieId, job.signal), { movieId });

  it('ends with the film', async () => {
    expect(await sync(603)).toMatchObject({ outcome: 'completed', result: { title: 'The Matrix', year: 1999 } });
  });

  it('reports when it may be tried again', async () => {
    tmdb.answer = (_request, response) => send(response, 429, tmdbError(25, 'Too many.'), { 'retry-after': '7' });
    expect(await sync(603)).toMatchObject({ outcome: 'failed', error: { retryable: true, retryAfterMs: 7000 } });
  });

  it.each([[0], [1.5], ['603'], ['603/credits']])('does not ask for a film %j', async (movieId) => {
    expect(await sync(movieId)).toMatchObject({
      outcome: 'failed',
      error: { code: 'invalid_arguments', retryable: false },
    });
    expect(tmdb.requests).toHaveLength(0);
  });
});
