import { z } from 'zod';
import type { ObjectSettings } from '../domain/objects/settings';

function wholeNumber(fallback: number, min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error }).default(fallback);
}

const secret = z.string().regex(/^[\x21-\x7e]+$/, 'must be visible ASCII without spaces');

/** Settings of the object store for large arguments and results. */
export const objectSettings = {
  BATON_S3_BUCKET: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket')
    .optional()
    .describe(
      'The bucket in which arguments and results are kept that are larger than a job may hold. Default: there is none, and such jobs are refused.',
    ),
  BATON_S3_PREFIX: z
    .string()
    .regex(/^[\w./-]{0,200}$/, 'must be letters, digits, and . _ - /')
    .default('baton/')
    .describe('What the keys of these objects begin with.'),
  BATON_S3_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,50}$/, 'must be a region such as eu-central-1')
    .default('us-east-1')
    .describe('The region of the bucket.'),
  BATON_S3_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'must be a URL such as http://minio.internal:9000' })
    .optional()
    .describe(
      'The URL of another service that speaks S3, as SDKs reach it; the bucket then stands in the path. Default: AWS.',
    ),
  BATON_S3_ACCESS_KEY_ID: secret.optional().describe('The access key that signs; needed with a bucket.'),
  BATON_S3_SECRET_ACCESS_KEY: secret.optional().describe('The secret of that access key.'),
  BATON_S3_SIGNED_MS: wholeNumber(900_000, 1000, 604_800_000).describe('How long a signed address is valid.'),
  BATON_S3_MAX_BYTES: wholeNumber(67_108_864, 1024, 5_000_000_000).describe(
    'How large one object may be. SDKs hold it in memory as a whole.',
  ),
};

/** @throws {Error} when something is missing */
export function readObjects(read: z.infer<z.ZodObject<typeof objectSettings>>): ObjectSettings | null {
  const {
    BATON_S3_BUCKET: bucket,
    BATON_S3_ACCESS_KEY_ID: accessKeyId,
    BATON_S3_SECRET_ACCESS_KEY: secretAccessKey,
  } = read;
  if (bucket === undefined) return null;
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new Error('BATON_S3_BUCKET needs BATON_S3_ACCESS_KEY_ID and BATON_S3_SECRET_ACCESS_KEY too');
  return {
    ...{ bucket, accessKeyId, secretAccessKey, region: read.BATON_S3_REGION, prefix: read.BATON_S3_PREFIX },
    ...{ endpoint: read.BATON_S3_ENDPOINT, signedMs: read.BATON_S3_SIGNED_MS, maxBytes: read.BATON_S3_MAX_BYTES },
  };
}
