import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** The allowed characters of an HTTP header; line breaks would start another header. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const STATUS = z.int().min(100).max(599);

/**
 * The parts of a request. `{{secret.NAME}}` in a header, a query value or the body is replaced by a secret of the
 * runner.
 */
export const requestParts = z.strictObject({
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).default('GET'),
  url: z.string().max(8192),
  /** Added to the URL. */
  query: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  headers: z
    .record(z.string().regex(HEADER_NAME, 'must be the name of a header'), z.string().regex(HEADER_VALUE))
    .default({}),
  /** Sent as JSON. */
  json: z.json().optional(),
  /** Sent as it is. */
  body: z.string().optional(),
  /** A file of the runner's storage that is sent as the body. */
  bodyFrom: z.string().optional(),
  /** How long one attempt may take, from the connection to the end of the answer. */
  timeoutMs: z.int().min(100).max(3_600_000).default(30_000),
  /** Most redirects that are followed. Secrets and credentials are not sent to another origin. */
  redirects: z.int().min(0).max(10).default(0),
  /** Statuses that complete the job. Default: 200 to 299. */
  success: z.array(STATUS).optional(),
  /** Statuses after which the job is retried. Default: 408, 425, 429, 500, 502, 503, 504; any other is final. */
  retryOn: z.array(STATUS).optional(),
  /** Values of a JSON answer for the result: a JSON pointer (RFC 6901) for each name. */
  pick: z.record(z.string(), z.string().regex(/^(\/.*)?$/s, 'must be a JSON pointer such as /choices/0')).default({}),
  /** Whether the result has the answer's text. */
  keepBody: z.boolean().default(true),
  /** Where in the runner's storage the answer is written, whatever its size. */
  saveTo: z.string().optional(),
});

export const httpResult = z.object({
  status: z.int(),
  /** The URL that answered, after redirects. */
  url: z.string(),
  /** In lower case; without `set-cookie`. */
  headers: z.record(z.string(), z.string()),
  /** As text, or in base64 if it is not text. Null when it was not wanted, or was saved. */
  body: z.string().nullable(),
  encoding: z.enum(['utf8', 'base64']),
  /** Whether the body is only the start of the answer. */
  truncated: z.boolean(),
  /** Size of the whole answer, after decompression. */
  bytes: z.int(),
  /** The values of `pick`; null for missing ones. */
  picked: z.record(z.string(), z.json()),
  savedTo: z.string().nullable(),
  redirects: z.int(),
});
export type HttpResult = z.infer<typeof httpResult>;

/** Calls a URL. */
export const httpRequest = defineJob({
  type: 'http-request',
  arguments: requestParts.refine(
    ({ json, body, bodyFrom }) => [json, body, bodyFrom].filter((one) => one !== undefined).length <= 1,
    'json, body and bodyFrom exclude each other',
  ),
  result: httpResult,
  timeoutMs: 120_000,
});
export type HttpArguments = z.output<typeof requestParts>;

/**
 * Generates a text with a language model; see `configurations/content-generation.json`. It is in `picked.text` of the
 * result.
 */
export const contentGeneration = defineJob({
  type: 'content-generation',
  arguments: z.strictObject({
    model: z.string(),
    prompt: z.string().min(1),
    /** Where the whole answer is also written. */
    saveTo: z.string().optional(),
  }),
  result: httpResult,
  queue: 'content',
  timeoutMs: 300_000,
});

/** Posts a text to a social network; see `configurations/social-post.json`. `picked.url` of the result is its URL. */
export const socialPost = defineJob({
  type: 'social-post',
  arguments: z.strictObject({
    text: z.string().min(1).max(500),
    visibility: z.enum(['public', 'unlisted', 'private', 'direct']).default('public'),
  }),
  result: httpResult,
  queue: 'social',
});

/** Transcribes a recording in the storage; see `configurations/transcription.json`. The text is in `picked.text`. */
export const transcription = defineJob({
  type: 'transcription',
  arguments: z.strictObject({
    source: z.string(),
    language: z.string().default('en'),
    saveTo: z.string().optional(),
  }),
  result: httpResult,
  queue: 'transcripts',
  timeoutMs: 900_000,
});
