import { createHmac, timingSafeEqual } from 'node:crypto';

const MOST_AGE_S = 300;

/** Verifies the signature of Standard Webhooks: an HMAC over id, time and text. Names of headers in lower case. */
export function isGenuine(secret: string, headers: Map<string, string>, text: string): boolean {
  const id = headers.get('webhook-id') ?? '';
  const timestamp = headers.get('webhook-timestamp') ?? '';
  const isFresh = Math.abs(Date.now() / 1000 - Number(timestamp)) <= MOST_AGE_S;
  if (id === '' || !isFresh) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const wanted = createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest();
  return (headers.get('webhook-signature') ?? '').split(' ').some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ''), 'base64');
    return one.startsWith('v1,') && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}
