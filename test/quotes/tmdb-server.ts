import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A film as `GET /3/movie/{id}?append_to_response=credits` answers it, in the documented shape. */
export const THE_MATRIX = {
  adult: false,
  backdrop_path: '/oMsxZEvz9a708d49b6UdZK1KAo5.jpg',
  belongs_to_collection: { id: 2344, name: 'The Matrix Collection', poster_path: null, backdrop_path: null },
  budget: 63000000,
  genres: [
    { id: 28, name: 'Action' },
    { id: 878, name: 'Science Fiction' },
  ],
  homepage: 'http://www.warnerbros.com/matrix',
  id: 603,
  imdb_id: 'tt0133093',
  origin_country: ['US'],
  original_language: 'en',
  original_title: 'The Matrix',
  overview: 'Set in the 22nd century, The Matrix tells the story of a computer hacker.',
  popularity: 79.4,
  poster_path: null,
  production_companies: [{ id: 79, logo_path: null, name: 'Village Roadshow Pictures', origin_country: 'US' }],
  production_countries: [{ iso_3166_1: 'US', name: 'United States of America' }],
  release_date: '1999-03-31',
  revenue: 463517383,
  runtime: 136,
  spoken_languages: [{ english_name: 'English', iso_639_1: 'en', name: 'English' }],
  status: 'Released',
  tagline: 'Believe the unbelievable.',
  title: 'The Matrix',
  video: false,
  vote_average: 8.217,
  vote_count: 26251,
  credits: {
    cast: [
      castMember(2975, 'Laurence Fishburne', 'Morpheus', 1),
      castMember(6384, 'Keanu Reeves', 'Neo', 0),
      castMember(530, 'Carrie-Anne Moss', 'Trinity', 2),
      ...Array.from({ length: 12 }, (_, index) => castMember(9000 + index, `Agent ${index}`, '', 3 + index)),
    ],
    crew: [
      crewMember(9339, 'Lilly Wachowski', 'Directing', 'Director'),
      crewMember(9340, 'Lana Wachowski', 'Directing', 'Director'),
      crewMember(9340, 'Lana Wachowski', 'Writing', 'Writer'),
      crewMember(1091, 'Joel Silver', 'Production', 'Producer'),
    ],
  },
};

/** The body of an error, as documented. */
export function tmdbError(code: number, message: string): string {
  return JSON.stringify({ success: false, status_code: code, status_message: message });
}

export interface TmdbServer {
  /** To be used as TMDB_BASE_URL. */
  baseUrl: string;
  /** What was asked so far. */
  requests: { url: URL; authorization: string | undefined }[];
  /** Answers from now on; each request is recorded first. */
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  close(): Promise<void>;
}

/** A stand-in for api.themoviedb.org on a free port of this machine. */
export async function startTmdbServer(): Promise<TmdbServer> {
  const server = createServer((request, response) => {
    tmdb.requests.push({ url: new URL(request.url ?? '', tmdb.baseUrl), authorization: request.headers.authorization });
    tmdb.answer(request, response);
  });
  const tmdb: TmdbServer = {
    baseUrl: '',
    requests: [],
    answer: (_request, response) => send(response, 200, JSON.stringify(THE_MATRIX)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  tmdb.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/3`;
  return tmdb;
}

export function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json;charset=utf-8', ...headers }).end(body);
}

function person(id: number, name: string) {
  return {
    adult: false,
    gender: 2,
    id,
    known_for_department: 'Acting',
    name,
    original_name: name,
    popularity: 1.5,
    profile_path: null,
  };
}

function castMember(id: number, name: string, character: string, order: number) {
  return { ...person(id, name), cast_id: id, character, credit_id: `cast${id}`, order };
}

function crewMember(id: number, name: string, department: string, job: string) {
  return { ...person(id, name), credit_id: `crew${id}`, department, job };
}
