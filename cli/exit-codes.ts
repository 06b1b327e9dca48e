import type { BatonError } from '@baton/runner-sdk';

/** Every exit code of the command, and its meaning; included in the reference. */
export const EXIT_CODES = [
  { code: 0, name: 'ok', meaning: 'Done as asked.' },
  { code: 1, name: 'internal', meaning: 'The command itself failed, or a file could not be read or written.' },
  {
    code: 2,
    name: 'usage',
    meaning: 'Wrong usage: an unknown command or option, a value that is not allowed, a missing setting.',
  },
  {
    code: 3,
    name: 'unavailable',
    meaning: 'The coordinator could not be reached, was overloaded, or failed inside (`unreachable`, 429, 5xx).',
  },
  {
    code: 4,
    name: 'denied',
    meaning: 'The key is wrong, or is not allowed to do this (`unauthenticated`, `forbidden`).',
  },
  { code: 5, name: 'not_found', meaning: 'There is no such job, queue, runner or other thing (`not_found`).' },
  {
    code: 6,
    name: 'conflict',
    meaning:
      'The state does not allow it, such as cancelling a finished job (`state_conflict`, `idempotency_conflict`).',
  },
  { code: 7, name: 'unsuccessful', meaning: 'A job that was waited for failed or was cancelled.' },
  {
    code: 8,
    name: 'incomplete',
    meaning: 'Part of it was not done: rows that were refused by an import, findings of `baton doctor`.',
  },
  { code: 9, name: 'timeout', meaning: 'The time given with `--timeout` was over first.' },
  { code: 130, name: 'interrupted', meaning: 'Ended by Ctrl-C (130), SIGTERM (143) or SIGHUP (129).' },
] as const;

export type ExitName = (typeof EXIT_CODES)[number]['name'];

export function exitCode(name: ExitName): number {
  return EXIT_CODES.find((one) => one.name === name)?.code ?? 1;
}

/** An error that is reported in plain words, without a stack. */
export class Failure extends Error {
  constructor(
    readonly exit: ExitName,
    message: string,
    /** What to do about it. */
    readonly advice?: string,
  ) {
    super(message);
  }
}

/** The message was already printed, or there is none: only the exit code is set. */
export class Ending extends Error {
  constructor(readonly exit: ExitName) {
    super(exit);
  }
}

const BY_CODE = new Map<string, ExitName>([
  ['unreachable', 'unavailable'],
  ['unexpected_reply', 'unavailable'],
  ['unavailable', 'unavailable'],
  ['internal', 'unavailable'],
  ['rate_limited', 'unavailable'],
  ['unauthenticated', 'denied'],
  ['forbidden', 'denied'],
  ['host_not_allowed', 'denied'],
  ['origin_not_allowed', 'denied'],
  ['not_found', 'not_found'],
  ['state_conflict', 'conflict'],
  ['idempotency_conflict', 'conflict'],
  ['queue_full', 'conflict'],
  ['wait_timeout', 'timeout'],
]);

/** How the command ends after this error. */
export function exitOf(error: unknown): ExitName {
  if (error instanceof Failure || error instanceof Ending) return error.exit;
  if (isBatonError(error)) {
    const known = BY_CODE.get(error.code);
    if (known !== undefined) return known;
    return error.status >= 500 ? 'unavailable' : 'usage';
  }
  if (isNamed(error, 'ConfigurationError')) return 'usage';
  if (isNamed(error, 'JobFailedError') || isNamed(error, 'JobCancelledError')) return 'unsuccessful';
  return 'internal';
}

/** Checked by name, because the SDK is loaded only by commands that need it. */
export function isBatonError(error: unknown): error is BatonError {
  return isNamed(error, 'BatonError');
}

export function isNamed(error: unknown, name: string): error is Error {
  return error instanceof Error && error.name === name;
}
