import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A location below which jobs may read, or read and write. */
export type Root =
  | { scheme: 'file'; /** Absolute. */ folder: string }
  | { scheme: 's3'; bucket: string; /** Empty, or ends with `/`. */ prefix: string }
  | { scheme: 'web'; /** Ends with `/`. Its host is trusted, wherever it leads. */ base: string }
  /** Every host with a public address, over https. */
  | { scheme: 'web'; base: null };

/** The root, or what is wrong with the text. */
export function parseRoot(text: string): Root | string {
  if (text.startsWith('file:')) return fileRoot(text);
  if (text.startsWith('s3:')) return s3Root(text);
  if (text === 'https:') return { scheme: 'web', base: null };
  if (/^https?:\/\//.test(text)) return webRoot(text);
  return 'begins with none of these';
}

function fileRoot(text: string): Root | string {
  const path = text.slice('file:'.length);
  if (path === '') return 'names no folder';
  if (!path.startsWith('//')) return { scheme: 'file', folder: resolve(path) };
  try {
    return { scheme: 'file', folder: resolve(fileURLToPath(text)) };
  } catch {
    return 'is no URL of a local folder; write file:///srv/media or file:media';
  }
}

function s3Root(text: string): Root | string {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(text) ?? [];
  if (bucket === undefined) return 'names no bucket; write s3://bucket or s3://bucket/folder';
  return { scheme: 's3', bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` };
}

function webRoot(text: string): Root | string {
  if (!URL.canParse(text)) return 'is not a URL';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return 'must have no user, query or fragment';
  return { scheme: 'web', base: url.href.endsWith('/') ? url.href : `${url.href}/` };
}
