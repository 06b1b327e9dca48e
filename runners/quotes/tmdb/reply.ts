import { z } from 'zod';
import type { Film } from './job';

/**
 * The used part of The Movie Database's answer to `GET /3/movie/{id}?append_to_response=credits`. Source:
 * https://developer.themoviedb.org/reference/movie-details and …/movie-credits.
 */
export const movieReply = z.object({
  id: z.int(),
  imdb_id: z.string().nullish(),
  title: z.string(),
  original_title: z.string(),
  original_language: z.string(),
  tagline: z.string().nullish(),
  overview: z.string().nullish(),
  release_date: z.string().nullish(),
  runtime: z.int().nullish(),
  genres: z.array(z.object({ name: z.string() })),
  vote_average: z.number(),
  vote_count: z.int(),
  credits: z.object({
    cast: z.array(z.object({ name: z.string(), character: z.string().nullish(), order: z.number() })),
    crew: z.array(z.object({ name: z.string(), job: z.string() })),
  }),
});

/** The body of every error. Source: https://developer.themoviedb.org/docs/errors. */
export const errorReply = z.object({ status_code: z.int(), status_message: z.string() });

const CAST_SHOWN = 10;

export function toFilm(reply: z.infer<typeof movieReply>): Film {
  const releaseDate = filled(reply.release_date);
  const cast = [...reply.credits.cast].sort((a, b) => a.order - b.order).slice(0, CAST_SHOWN);
  return {
    tmdbId: reply.id,
    imdbId: filled(reply.imdb_id),
    title: reply.title,
    originalTitle: reply.original_title,
    originalLanguage: reply.original_language,
    tagline: filled(reply.tagline),
    overview: filled(reply.overview),
    releaseDate,
    year: /^\d{4}-/.test(releaseDate ?? '') ? Number(releaseDate?.slice(0, 4)) : null,
    // The Movie Database uses 0 for a missing runtime or vote.
    runtimeMinutes: reply.runtime || null,
    genres: reply.genres.map((genre) => genre.name),
    directors: [
      ...new Set(reply.credits.crew.filter((member) => member.job === 'Director').map((member) => member.name)),
    ],
    cast: cast.map(({ name, character }) => ({ name, character: filled(character) })),
    voteAverage: reply.vote_count === 0 ? null : reply.vote_average,
    voteCount: reply.vote_count,
  };
}

function filled(text: string | null | undefined): string | null {
  return text ? text : null;
}
