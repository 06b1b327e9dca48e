import { relative, resolve, sep } from 'node:path';
import { NonRetryableError } from '@baton/runner-sdk';
import { urlFault, type UrlPolicy } from '@baton/url-policy';
import type { Root } from './roots';

/** The location of a URL that is known to be below a root. */
export type Location = FileLocation | S3Location | WebLocation;

export interface FileLocation {
  scheme: 'file';
  url: string;
  /** Absolute, with symbolic links not resolved yet. */
  path: string;
  folder: string;
}

export interface S3Location {
  scheme: 's3';
  url: string;
  bucket: string;
  key: string;
}

export interface WebLocation {
  scheme: 'web';
  url: string;
  /** Whether a root names the host, which may then be in a private network. */
  isTrusted: boolean;
}

/** The policy for hosts that no root names. */
export const PUBLIC_ONLY: UrlPolicy = { hosts: [], networks: [], isHttpAllowed: false, ports: [443] };
const ROOT_SETTING = 'STORAGE_READ_ROOTS or STORAGE_ROOTS';
const POLICY_SETTINGS = { allow: ROOT_SETTING, http: ROOT_SETTING, ports: ROOT_SETTING };

/** The folder of files while they are written. */
export const PARTS_FOLDER = '.baton-parts';

/**
 * The possible locations of a URL, the first root's first; more than one only for a relative `file:` URL.
 * @throws {NonRetryableError} `storage_bad_url`, `storage_outside_roots`
 */
export function locate(url: string, roots: readonly Root[]): [Location, ...Location[]] {
  const found = roots.flatMap((root) => locationBelow(url, root) ?? []);
  const [first, ...others] = found;
  if (first !== undefined) return [first, ...others];
  throw new NonRetryableError(`${shown(url)} is below none of the roots ${roots.map(rootText).join(', ')}`, {
    code: 'storage_outside_roots',
  });
}

/** A URL for logs and errors: without its query, which may contain signatures. */
export function shown(url: string): string {
  return JSON.stringify(
    url
      .replace(/(^https?:\/\/)[^/?#]*@/, '$1')
      .replace(/[?#].*$/s, '')
      .slice(0, 300),
  );
}

function locationBelow(url: string, root: Root): Location | null {
  switch (root.scheme) {
    case 'file':
      return url.startsWith('file:') ? fileBelow(url, root.folder) : null;
    case 's3':
      return url.startsWith('s3:') ? s3Below(url, root) : null;
    case 'web':
      return /^https?:/i.test(url) ? webBelow(url, root.base) : null;
  }
}

function fileBelow(url: string, folder: string): Location | null {
  const named = pathOf(url);
  const path = resolve(folder, named);
  const [first] = relative(folder, path).split(sep);
  // `..` is refused even if it would end in another root.
  const isBelow = first !== '..' && first !== PARTS_FOLDER && !named.split(/[/\\]/).includes('..');
  return isBelow ? { scheme: 'file', url, path, folder } : null;
}

function pathOf(url: string): string {
  const text = url.slice('file:'.length).replace(/^\/\/(?=\/)/, '');
  if (text.startsWith('//')) throw badUrl(url, 'names a host; write file:///path or file:path');
  let path: string;
  try {
    path = decodeURIComponent(text);
  } catch {
    throw badUrl(url, 'has a % that begins no escape; write it as %25');
  }
  if (path === '' || path.includes('\0')) throw badUrl(url, 'names no file');
  return path;
}

function s3Below(url: string, { bucket, prefix }: { bucket: string; prefix: string }): Location | null {
  const [, named, key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(url) ?? [];
  if (named === undefined || key === undefined) throw badUrl(url, 'must be s3://bucket/key');
  // S3 accepts any key, but servers behind an endpoint may store keys as files.
  if (key.split('/').some((part) => part === '..' || part === '.')) throw badUrl(url, 'has a part . or ..');
  return named === bucket && key.startsWith(prefix) ? { scheme: 's3', url, bucket, key } : null;
}

function webBelow(url: string, base: string | null): Location | null {
  if (!URL.canParse(url)) throw badUrl(url, 'is not a URL');
  const { href, pathname, username, password } = new URL(url);
  if (username !== '' || password !== '') throw badUrl(url, 'must not hold a user name or password');
  if (base !== null) {
    // Some servers treat these as `..`.
    if (/(\.|%2e){2}(%2f|%5c|\\)/i.test(pathname)) throw badUrl(url, 'has an escaped path upwards');
    return href.startsWith(base) ? { scheme: 'web', url: href, isTrusted: true } : null;
  }
  const fault = urlFault(url, PUBLIC_ONLY, POLICY_SETTINGS);
  if (fault !== null) throw badUrl(url, fault);
  return { scheme: 'web', url: href, isTrusted: false };
}

function badUrl(url: string, fault: string): NonRetryableError {
  return new NonRetryableError(`${shown(url)} ${fault}`, { code: 'storage_bad_url' });
}

function rootText(root: Root): string {
  switch (root.scheme) {
    case 'file':
      return `file:${root.folder}`;
    case 's3':
      return `s3://${root.bucket}/${root.prefix}`;
    case 'web':
      return root.base ?? 'https: (public hosts)';
  }
}
