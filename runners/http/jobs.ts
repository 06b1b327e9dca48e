import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What an HTTP header may hold; line breaks would begin another. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const STATUS = z.int().min(100).max(599);

/** The parts of a request. `{{secret.NAME}}` in a header, a query value or the body stands for a secret of the runner. */
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
  /** Sent from the runner's storage, as it is. */
  bodyFrom: z.string().optional(),
  /** How long one attempt may take, from the connection to the end of the answer. */
  timeoutMs: z.int().min(100).max(3_600_000).default(30_000),
  /** How many redirects are followed. Secrets and credentials go to no other origin. */
  redirects: z.int().min(0).max(10).default(0),
  /** Statuses that complete the job. Default: 200 to 299. */
  success: z.array(STATUS).optional(),
  /** Statuses after which the job is tried again. Default: 408, 425, 429, 500, 502, 503, 504; any other is final. */
  retryOn: z.array(STATUS).optional(),
  /** What the result shall have of a JSON answer: a JSON pointer (RFC 6901) for each name. */
  pick: z.record(z.string(), z.string().regex(/^(\/.*)?$/s, 'must be a JSON pointer such as /choices/0')).default({}),
  /** Whether the result has the answer's text. */
  keepBody: z.boolean().default(true),
  /** Where in the runner's storage the answer is written, whatever its size. */
  saveTo: z.string().optional(),
});

export const httpResult = z.object({
  status: z.int(),
  /** Where the answer came from, after redirects. */
  url: z.string(),
  /** In lower case; without `set-cookie`. */
  headers: z.record(z.string(), z.string()),
  /** As text, or in base64 where it is none. Null when it was not wanted, or saved. */
  body: z.string().nullable(),
  encoding: z.enum(['utf8', 'base64']),
  /** Whether the body is only the beginning of the answer. */
  truncated: z.boolean(),
  /** Of the whole answer, after decompression. */
  bytes: z.int(),
  /** What `pick` found; null for what is not there. */
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

/** Writes a text with a language model; see `configurations/content-generation.json`. The result's `picked.text` has it. */
export const contentGeneration = defineJob({
  type: 'content-generation',
  arguments: z.strictObject({
    model: z.string(),
    prompt: z.string().min(1),
    /** Where the whole answer is written, beside. */
    saveTo: z.string().optional(),
  }),
  result: httpResult,
  queue: 'content',
  timeoutMs: 300_000,
});

/** Posts a text to a social network; see `configurations/social-post.json`. The result's `picked.url` leads to it. */
export const socialPost = defineJob({
  type: 'social-post',
  arguments: z.strictObject({
    text: z.string().min(1).max(500),
    visibility: z.enum(['public', 'unlisted', 'private', 'direct']).default('public'),
  }),
  result: httpResult,
  queue: 'social',
});

/** Writes down what is said in a recording of the storage; see `configurations/transcription.json`. In `picked.text`. */
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
