import { createHash } from 'node:crypto';

const MOST_CHARACTERS = 500;

/**
 * Equal for all jobs that failed alike: a hash of the type, the error's code and the first line of its message, in
 * which each word with a digit (a number, an id) is replaced by `#`.
 */
export function fingerprintOf(type: string, error: { message: string; code?: string | undefined }): string {
  return createHash('md5')
    .update([type, error.code ?? '', patternOf(error.message)].join('\n'))
    .digest('hex')
    .slice(0, 16);
}

/** A message without the parts that differ from job to job. */
export function patternOf(message: string): string {
  const [line = ''] = message.split('\n', 1);
  return line.slice(0, MOST_CHARACTERS).replace(/[A-Za-z0-9_-]+/g, (word) => (/\d/.test(word) ? '#' : word));
}
