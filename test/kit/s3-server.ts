import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const ACCESS_KEY = 'AKIATEST';
export const SECRET_KEY = 'a-secret/for+tests';

interface Stored {
  content: Buffer;
  etag: string;
  at: Date;
}

/**
 * As much of S3 as is used, kept in memory. Each request's signature (version 4) is checked by arithmetic of its own.
 */
export class S3Server {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, Map<number, Buffer>>();
  /** Lists are given in pages of so many. */
  pageSize = 1000;
  /** Answers this status to the next calls of this method. */
  readonly faults: { method: string; status: number }[] = [];
  private readonly server: Server = createServer((request, response) => void this.answer(request, response));

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const { method = '', headers } = request;
    const url = new URL(request.url ?? '', 'http://s3');
    const path = decodeURIComponent(url.pathname).slice(1);
    const isGood = url.searchParams.has('X-Amz-Signature')
      ? isPresigned(method, url, headers)
      : isSigned(method, url, headers);
    if (!isGood) return fault(response, 403, 'SignatureDoesNotMatch');
    const checksum = headers['x-amz-checksum-sha256'];
    if (checksum !== undefined && checksum !== createHash('sha256').update(body).digest('base64'))
      return fault(response, 400, 'BadDigest');
    const wanted = this.faults.findIndex((one) => one.method === method);
    if (wanted >= 0) return fault(response, this.faults.splice(wanted, 1)[0]?.status ?? 500, 'Wanted');
    if (method === 'GET' && url.searchParams.has('list-type')) return this.list(path.replace(/\/$/, ''), url, response);
    if (method === 'GET' || method === 'HEAD') return this.read(path, method, headers.range, response);
    return this.write(method, path, url, body, response);
  }

  private write(method: string, path: string, url: URL, body: Buffer, response: ServerResponse): void {
    const upload = url.searchParams.get('uploadId');
    if (method === 'DELETE') {
      if (upload === null) this.objects.delete(path);
      else this.uploads.delete(upload);
      return void response.writeHead(204).end();
    }
    if (method === 'PUT' && upload !== null) {
      this.uploads.get(upload)?.set(Number(url.searchParams.get('partNumber')), body);
      return void response.writeHead(200, { etag: etagOf(body) }).end();
    }
    if (method === 'PUT') return this.store(path, body, response);
    if (url.searchParams.has('uploads')) {
      const id = randomBytes(8).toString('hex');
      this.uploads.set(id, new Map());
      return xml(response, `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
    }
    const parts = [...(this.uploads.get(upload ?? '') ?? [])].sort(([one], [other]) => one - other);
    this.uploads.delete(upload ?? '');
    const content = Buffer.concat(parts.map(([, part]) => part));
    this.objects.set(path, { content, etag: etagOf(content), at: new Date() });
    return xml(
      response,
      `<CompleteMultipartUploadResult><ETag>${etagOf(content)}</ETag></CompleteMultipartUploadResult>`,
    );
  }

  private store(path: string, content: Buffer, response: ServerResponse): void {
    this.objects.set(path, { content, etag: etagOf(content), at: new Date() });
    response.writeHead(200, { etag: etagOf(content) }).end();
  }

  private read(path: string, method: string, range: string | undefined, response: ServerResponse): void {
    const found = this.objects.get(path);
    if (found === undefined) return fault(response, 404, 'NoSuchKey');
    const start = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    const content = found.content.subarray(start);
    response.writeHead(range === undefined ? 200 : 206, {
      ...{ etag: found.etag, 'content-length': content.length, 'last-modified': found.at.toUTCString() },
      'content-type': 'application/octet-stream',
    });
    response.end(method === 'HEAD' ? undefined : content);
  }

  private list(bucket: string, url: URL, response: ServerResponse): void {
    const prefix = `${bucket}/${url.searchParams.get('prefix') ?? ''}`;
    const after = url.searchParams.get('continuation-token') ?? '';
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, this.pageSize);
    const contents = page.map((key) => {
      const { content, etag, at } = this.objects.get(key) as Stored;
      return `<Contents><Key>${key.slice(bucket.length + 1)}</Key><Size>${content.length}</Size><ETag>${etag}</ETag><LastModified>${at.toISOString()}</LastModified></Contents>`;
    });
    const next = keys.length > page.length ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    xml(response, `<ListBucketResult>${contents.join('')}${next}</ListBucketResult>`);
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
function isSigned(method: string, url: URL, headers: IncomingMessage['headers']): boolean {
  const [, scope = '', names = '', signature = ''] =
    /Credential=AKIATEST\/([^,]+), SignedHeaders=([^,]+), Signature=(\w+)/.exec(headers.authorization ?? '') ?? [];
  const query = [...url.searchParams].map(([key, value]) => `${escaped(key)}=${escaped(value)}`).sort();
  const signed = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const path = url.pathname.split('/').map((part) => escaped(decodeURIComponent(part)));
  const canonical = [
    method,
    path.join('/'),
    query.join('&'),
    signed.join(''),
    names,
    headers['x-amz-content-sha256'],
  ].join('\n');
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  let key: Buffer = Buffer.from(`AWS4${SECRET_KEY}`);
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(text).digest('hex') === signature;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html */
function isPresigned(method: string, url: URL, headers: IncomingMessage['headers']): boolean {
  const given = (name: string): string => url.searchParams.get(name) ?? '';
  const at = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(given('X-Amz-Date'));
  if (at === null) return false;
  const [year, month, day, hour, minute, second] = at.slice(1).map(Number) as [number, number, ...number[]];
  const ageMs = Date.now() - Date.UTC(year, month - 1, day, hour, minute, second);
  if (ageMs > Number(given('X-Amz-Expires')) * 1000) return false;
  const names = given('X-Amz-SignedHeaders');
  // Whatever is sent of x-amz- must be signed.
  if (Object.keys(headers).some((name) => name.startsWith('x-amz-') && !names.split(';').includes(name))) return false;
  const query = [...url.searchParams]
    .filter(([key]) => key !== 'X-Amz-Signature')
    .map(([key, value]) => `${escaped(key)}=${escaped(value)}`)
    .sort();
  const signed = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const path = url.pathname.split('/').map((part) => escaped(decodeURIComponent(part)));
  const canonical = [method, path.join('/'), query.join('&'), signed.join(''), names, 'UNSIGNED-PAYLOAD'].join('\n');
  const [, ...scope] = given('X-Amz-Credential').split('/');
  const text = ['AWS4-HMAC-SHA256', given('X-Amz-Date'), scope.join('/'), sha256(canonical)].join('\n');
  let key: Buffer = Buffer.from(`AWS4${SECRET_KEY}`);
  for (const part of scope) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(text).digest('hex') === given('X-Amz-Signature');
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function etagOf(content: Buffer): string {
  return `"${createHash('md5').update(content).digest('hex')}"`;
}

function fault(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}

function xml(response: ServerResponse, body: string): void {
  response.writeHead(200, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${body}`);
}
