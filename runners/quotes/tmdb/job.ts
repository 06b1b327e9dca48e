import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

/** The data of a film. Values that The Movie Database does not have are null or empty. */
export const film = z.object({
  tmdbId: z.int(),
  imdbId: z.string().nullable(),
  title: z.string(),
  originalTitle: z.string(),
  originalLanguage: z.string(),
  tagline: z.string().nullable(),
  overview: z.string().nullable(),
  /** `YYYY-MM-DD`. */
  releaseDate: z.string().nullable(),
  year: z.int().nullable(),
  runtimeMinutes: z.int().nullable(),
  genres: z.array(z.string()),
  directors: z.array(z.string()),
  /** At most ten, in the order of billing. */
  cast: z.array(z.object({ name: z.string(), character: z.string().nullable() })),
  /** 0 to 10; null without votes. */
  voteAverage: z.number().nullable(),
  voteCount: z.int(),
});
export type Film = z.infer<typeof film>;

/** Fetches a film from The Movie Database. */
export const tmdbSync = defineJob({
  type: 'TMDB_SYNC',
  arguments: z.strictObject({ movieId: z.int().min(1) }),
  result: film,
  timeoutMs: 60_000,
});
