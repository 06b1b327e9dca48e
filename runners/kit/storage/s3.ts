import { Readable } from 'node:stream';
import {
  type Backend,
  type Listed,
  notFound,
  type Opened,
  type ReadOptions,
  refused,
  type Stat,
  type WriteOptions,
} from './backend';
import type { S3Location } from './location';
import { type ObjectHead, type S3Client, s3Sdk, uploadSdk } from './s3-sdk';

export interface S3Settings {
  STORAGE_S3_ENDPOINT?: string | undefined;
  STORAGE_S3_REGION?: string | undefined;
  STORAGE_S3_PATH_STYLE?: boolean | undefined;
}

/** S3 accepts at most 10,000 parts; two of them are in memory at a time. */
const PART_BYTES = 8 * 1024 * 1024;
const MOST_PARTS = 10_000;

/** Objects of S3 and compatible servers. Credentials are found by the AWS SDK. */
export class S3Backend implements Backend<S3Location> {
  private client: Promise<S3Client> | null = null;

  constructor(private readonly settings: S3Settings) {}

  async stat({ url, bucket, key }: S3Location, signal?: AbortSignal): Promise<Stat | null> {
    const { HeadObjectCommand } = await s3Sdk();
    const client = await this.connect();
    try {
      const command = new HeadObjectCommand({ Bucket: bucket, Key: key });
      return statOf(await client.send(command, { ...(signal && { abortSignal: signal }) }));
    } catch (error) {
      const fault = faultOf(url, error);
      if (fault.code === 'storage_not_found') return null;
      throw fault;
    }
  }

  async open({ url, bucket, key }: S3Location, { signal, start = 0 }: ReadOptions): Promise<Opened> {
    const { GetObjectCommand } = await s3Sdk();
    const client = await this.connect();
    try {
      const range = start === 0 ? {} : { Range: `bytes=${start}-` };
      const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...range });
      const answer = await client.send(command, {
        ...(signal && { abortSignal: signal }),
      });
      const stat = statOf(answer);
      return { ...stat, bytes: stat.bytes === null ? null : stat.bytes + start, body: answer.Body };
    } catch (error) {
      throw faultOf(url, error);
    }
  }

  /**
   * Uploads in parts; the object exists when the last one is complete. Parts of killed uploads must be deleted by a
   * rule of the bucket.
   */
  async write(place: S3Location, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<number> {
    const { Upload } = await uploadSdk();
    const counted = new Counted(source);
    const upload = new Upload({
      client: await this.connect(),
      params: {
        ...{ Bucket: place.bucket, Key: place.key, Body: Readable.from(counted) },
        ...(options.contentType !== undefined && { ContentType: options.contentType }),
      },
      partSize: Math.max(PART_BYTES, Math.ceil((options.bytes ?? 0) / (MOST_PARTS - 1))),
      queueSize: 2,
    });
    const abort = (): void => void upload.abort();
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      options.signal?.throwIfAborted();
      await upload.done();
      return counted.bytes;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw faultOf(place.url, error);
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  async *list({ url, bucket, key }: S3Location, signal?: AbortSignal): AsyncIterable<Listed> {
    const { ListObjectsV2Command } = await s3Sdk();
    const client = await this.connect();
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token });
      const answer = await client
        .send(command, { ...(signal && { abortSignal: signal }) })
        .catch((error: unknown) => Promise.reject(faultOf(url, error)));
      for (const { Key, Size, ETag, LastModified } of answer.Contents ?? []) {
        if (Key === undefined || Key.endsWith('/')) continue;
        yield {
          ...{ name: Key.slice(key.length), bytes: Size ?? 0, version: ETag ?? '' },
          ...{ modifiedAt: LastModified ?? null, contentType: null },
        };
      }
      token = answer.NextContinuationToken;
    } while (token !== undefined);
  }

  async remove(place: S3Location): Promise<boolean> {
    if ((await this.stat(place)) === null) return false;
    const { DeleteObjectCommand } = await s3Sdk();
    const client = await this.connect();
    try {
      await client.send(new DeleteObjectCommand({ Bucket: place.bucket, Key: place.key }));
      return true;
    } catch (error) {
      throw faultOf(place.url, error);
    }
  }

  private connect(): Promise<S3Client> {
    this.client ??= this.makeClient();
    return this.client;
  }

  private async makeClient(): Promise<S3Client> {
    const {
      STORAGE_S3_ENDPOINT: endpoint,
      STORAGE_S3_REGION: region,
      STORAGE_S3_PATH_STYLE: isPathStyle,
    } = this.settings;
    const { S3Client: Client } = await s3Sdk();
    return new Client({
      // Compatible servers are addressed by path, and have one region.
      forcePathStyle: isPathStyle ?? endpoint !== undefined,
      ...(endpoint !== undefined && { endpoint }),
      ...(region !== undefined ? { region } : endpoint !== undefined && { region: 'us-east-1' }),
      // Not all of them support the checksums that AWS has added.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  }
}

class Counted implements AsyncIterable<Uint8Array> {
  bytes = 0;

  constructor(private readonly source: AsyncIterable<Uint8Array>) {}

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for await (const chunk of this.source) {
      this.bytes += chunk.length;
      yield chunk;
    }
  }
}

function statOf(answer: ObjectHead): Stat {
  return {
    bytes: answer.ContentLength ?? null,
    modifiedAt: answer.LastModified ?? null,
    contentType: answer.ContentType ?? null,
    version: answer.ETag ?? '',
  };
}

type Fault = Error & { code?: string | number | undefined };

/** Missing and refused objects are final; other errors are worth a retry. */
function faultOf(url: string, error: unknown): Fault {
  const { name = '', message = '', $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode ?? 0;
  if (name === 'NoSuchKey' || name === 'NotFound' || name === 'NoSuchBucket' || status === 404) return notFound(url);
  if (status >= 400 && status < 500 && status !== 408 && status !== 429)
    return refused(url, `${name} ${message}`.trim());
  return error as Error;
}
