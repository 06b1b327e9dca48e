import { z } from 'zod';

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in 64 hexadecimal digits, in lower case')
  .describe('SHA-256 of the content, in hexadecimal digits.');
const bytes = z.int().min(1).max(5_000_000_000).describe('Size of the content in bytes.');
export const objectId = z.uuid().describe('Id of the object.');

/** Stands in a job in place of arguments, or of a result, that are kept in the object store. */
export const objectReference = z.strictObject({
  $object: z
    .strictObject({
      id: objectId,
      url: z.string().max(200).describe('Where `GET` tells the address of the content, below the coordinator.'),
      sha256,
      bytes,
    })
    .describe('The object, and what its content must be.'),
});
export type ObjectReference = z.infer<typeof objectReference>;

export const newObject = z.strictObject({ sha256, bytes });
export type NewObject = z.infer<typeof newObject>;

const validForMs = z.int().describe('How long the address is valid, in milliseconds.');

export const objectUpload = z.object({
  reference: objectReference.describe('Send this as `arguments` or `result`, once the content has been sent.'),
  upload: z
    .object({
      method: z.literal('PUT').describe('Always `PUT`.'),
      url: z.string().describe('Where to send the content.'),
      headers: z.record(z.string(), z.string()).describe('Headers that must be sent along.'),
      validForMs,
    })
    .describe('How to send the content: UTF-8 JSON, as it would have stood in the job.'),
});
export type ObjectUpload = z.infer<typeof objectUpload>;

export const objectDownload = z.object({
  url: z.string().describe('Where the content can be read, without a key.'),
  sha256,
  bytes,
  validForMs,
});
export type ObjectDownload = z.infer<typeof objectDownload>;
