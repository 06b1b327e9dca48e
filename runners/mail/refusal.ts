import { NonRetryableError, RetryAfterError } from '@baton/runner-sdk';

/** A server's refusal of a message to one address. */
export interface Refusal {
  /** Whether a retry cannot change it. */
  isFinal: boolean;
  response: string;
  code: string;
  /** How long the server asked to wait, in milliseconds. */
  waitMs: number | null;
}

interface SmtpError extends Error {
  code?: string;
  responseCode?: number;
  response?: string;
}

const MOST_WAIT_MS = 24 * 3_600_000;
const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Interprets nodemailer's errors. A 5xx reply to the message is final; one to the login is not, since the message is
 * not the cause and an operator can fix it.
 */
export function refusalOf(error: unknown): Refusal {
  const { code = '', responseCode = 0, response, message } = error as SmtpError;
  const said = clean(response ?? message);
  const isOfMessage = code !== 'EAUTH' && code !== 'ETLS';
  if (responseCode >= 500 && isOfMessage) return { isFinal: true, response: said, code: 'mail_refused', waitMs: null };
  if (code === 'EAUTH') return { isFinal: false, response: said, code: 'mail_login_refused', waitMs: null };
  if (responseCode >= 400 && isOfMessage)
    return { isFinal: false, response: said, code: 'mail_deferred', waitMs: waitIn(said) };
  // An address or header that nodemailer itself refuses.
  if (code === 'EENVELOPE' || code === 'EMESSAGE')
    return { isFinal: true, response: said, code: 'mail_refused', waitMs: null };
  return { isFinal: false, response: said, code: 'mail_unreachable', waitMs: null };
}

export function errorOf(to: string, { isFinal, response, code, waitMs }: Refusal): Error {
  const message = `the mail to ${to} was not taken: ${response}`;
  if (isFinal) return new NonRetryableError(message, { code });
  return waitMs === null ? Object.assign(new Error(message), { code }) : new RetryAfterError(waitMs, message, { code });
}

/** Servers say it in words: "Greylisted, try again in 5 minutes", "please retry after 00:04:30", "wait 300 seconds". */
export function waitIn(text: string): number | null {
  const clock = /\b(\d{1,2}):(\d{2}):(\d{2})\b/.exec(text);
  if (clock !== null) {
    const [hours = 0, minutes = 0, seconds = 0] = clock.slice(1).map(Number);
    return Math.min(((hours * 60 + minutes) * 60 + seconds) * 1000, MOST_WAIT_MS);
  }
  const [, amount, unit] = /\b(\d{1,6})\s*(s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)\b/i.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return null;
  const unitMs = UNITS_MS[unit.charAt(0).toLowerCase() as keyof typeof UNITS_MS];
  return Math.min(Number(amount) * unitMs, MOST_WAIT_MS);
}

function clean(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd').trim().slice(0, 1000);
}
