import type { Readable } from 'node:stream';
import { NonRetryableError } from '@baton/runner-sdk';

// The part of the AWS SDK that is used, with its own names. The kit does not depend on it, and so does not import it:
// only runners that offer S3 depend on it, and a runner without it must compile and start.

export interface S3Client {
  send<Answer>(command: Command<Answer>, options?: { abortSignal?: AbortSignal }): Promise<Answer>;
}

export interface ObjectHead {
  ContentLength?: number;
  LastModified?: Date;
  ContentType?: string;
  ETag?: string;
}

export interface ObjectPage {
  Contents?: { Key?: string; Size?: number; ETag?: string; LastModified?: Date }[];
  NextContinuationToken?: string;
}

/** A command; only its type knows its answer. */
interface Command<Answer> {
  readonly answer?: Answer;
}

type CommandClass<Answer> = new (input: Record<string, unknown>) => Command<Answer>;

interface S3Sdk {
  S3Client: new (config: Record<string, unknown>) => S3Client;
  HeadObjectCommand: CommandClass<ObjectHead>;
  GetObjectCommand: CommandClass<ObjectHead & { Body: Readable }>;
  ListObjectsV2Command: CommandClass<ObjectPage>;
  DeleteObjectCommand: CommandClass<unknown>;
}

interface UploadSdk {
  Upload: new (options: Record<string, unknown>) => { done(): Promise<unknown>; abort(): Promise<void> };
}

export function s3Sdk(): Promise<S3Sdk> {
  return load<S3Sdk>('@aws-sdk/client-s3');
}

export function uploadSdk(): Promise<UploadSdk> {
  return load<UploadSdk>('@aws-sdk/lib-storage');
}

async function load<Sdk>(name: string): Promise<Sdk> {
  try {
    return (await import(name)) as Sdk;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new NonRetryableError(`this runner is installed without ${name}, and so without s3:`, {
      code: 'storage_unsupported',
    });
  }
}
