import { request } from 'undici';
import type { ObjectSettings } from './settings';

/** An address that lets whoever has it make one kind of call, for a while. */
export interface SignedCall {
  method: 'GET' | 'PUT' | 'DELETE';
  url: string;
  /** Headers that must be sent along. */
  headers: Record<string, string>;
}

const ANSWER_MS = 15_000;

/**
 * Objects in S3, or in a service that speaks it. The coordinator signs, and no object passes through it; it calls the
 * store itself only to delete.
 */
export class ObjectStore {
  constructor(readonly settings: ObjectSettings) {}

  /** For a content of this hash (hex) and size only, which S3 checks. */
  async signPut(id: string, sha256: string): Promise<SignedCall> {
    const checksum = Buffer.from(sha256, 'hex').toString('base64');
    return this.sign('PUT', id, { 'x-amz-checksum-sha256': checksum });
  }

  signGet(id: string): Promise<SignedCall> {
    return this.sign('GET', id, {});
  }

  /** Resolves as well when the object is not there. */
  async delete(id: string): Promise<void> {
    const { method, url } = await this.sign('DELETE', id, {});
    const options = { method, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS };
    const { statusCode, body } = await request(url, options);
    await body.dump();
    if (statusCode >= 300 && statusCode !== 404)
      throw new Error(`the object store answered ${statusCode} to the deletion of ${id}`);
  }

  private async sign(method: SignedCall['method'], id: string, headers: Record<string, string>): Promise<SignedCall> {
    const { region, accessKeyId, secretAccessKey, signedMs } = this.settings;
    const url = new URL(this.address(id));
    url.searchParams.set('X-Amz-Expires', String(Math.ceil(signedMs / 1000)));
    // Only those who have an object store pay for loading it.
    const { AwsV4Signer } = await import('aws4fetch');
    const credentials = { accessKeyId, secretAccessKey, region, service: 's3' };
    const signer = new AwsV4Signer({ ...credentials, method, url: url.href, headers, signQuery: true });
    const signed = await signer.sign();
    return { method, url: signed.url.href, headers };
  }

  /** With an endpoint, or a name that no certificate covers, the bucket stands in the path. */
  private address(id: string): string {
    const { bucket, prefix, region, endpoint } = this.settings;
    const key = `${prefix}${id}`;
    if (endpoint !== undefined) return `${endpoint.replace(/\/+$/, '')}/${bucket}/${key}`;
    const isPath = bucket.includes('.');
    return isPath
      ? `https://s3.${region}.amazonaws.com/${bucket}/${key}`
      : `https://${bucket}.s3.${region}.amazonaws.com/${key}`;
  }
}
