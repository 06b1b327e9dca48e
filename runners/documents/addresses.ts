/*
 * Chromium gets addresses of the web, because it resolves relative ones only there, and reads none of `file:` for a
 * page. They lead nowhere: what is asked for is answered from the storage.
 */

const FILE = 'https://file.invalid/';
const S3 = 'https://s3.invalid/';
/** The address of a template that was given as text: nothing stands beside it. */
export const NOWHERE = 'https://document.invalid/';

/** Of a URL of the storage. */
export function addressOf(url: string): string {
  if (url.startsWith('file:')) return FILE + url.slice('file:'.length);
  if (url.startsWith('s3:')) return S3 + encodeURI(url.slice('s3://'.length));
  return url;
}

/** The URL of the storage that an address stands for; null: it names a file beside a template that has no place. */
export function urlOf(address: string): string | null {
  const plain = address.replace(/#.*$/s, '');
  if (plain.startsWith(NOWHERE)) return null;
  if (plain.startsWith(FILE)) return `file:${plain.slice(FILE.length)}`;
  if (plain.startsWith(S3)) return `s3://${decodeURIComponent(plain.slice(S3.length))}`;
  return plain.startsWith('s3:') ? decodeURIComponent(plain) : plain;
}

/** What names files of `file:` in HTML or CSS gets their addresses; text that people read stays. */
export function withAddresses(text: string): string {
  return text.replace(
    /((?:\b(?:src|href|poster|data)\s*=|\burl\(|@import)\s*["']?\s*)file:/gi,
    (_match, before: string) => before + FILE,
  );
}
