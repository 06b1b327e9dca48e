import { z } from 'zod';
import { setting } from '../settings';
import { parseRoot } from './roots';

const roots = setting.list().superRefine((parts, context) => {
  for (const part of parts) {
    const root = parseRoot(part);
    if (typeof root === 'string')
      context.addIssue({
        code: 'custom',
        message: `must be file:, s3: and https: URLs separated by commas; ${JSON.stringify(part)} ${root}`,
      });
  }
});

/** Locations that jobs may read and write. */
export const storageSettings = {
  STORAGE_ROOTS: roots.prefault('file:.baton/storage'),
  STORAGE_READ_ROOTS: roots.prefault(','),
  STORAGE_S3_ENDPOINT: setting.url('http://127.0.0.1:9000').optional(),
  STORAGE_S3_REGION: z.string().optional(),
  STORAGE_S3_PATH_STYLE: setting.flag().optional(),
};
