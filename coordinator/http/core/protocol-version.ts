import type { IncomingMessage } from 'node:http';
import { SPOKEN_PROTOCOLS } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';

export const PROTOCOL_HEADER = 'Baton-Protocol';

const { oldest, newest } = SPOKEN_PROTOCOLS;

/** What the coordinator speaks, in every answer: one version, or a range such as `1-3`. */
export const SPOKEN = oldest === newest ? `${newest}` : `${oldest}-${newest}`;

/**
 * The version of the protocol that a runner speaks. Runners in other languages, and those of before there was a
 * version, send none: they speak the first.
 * @throws {BatonError} `unsupported_protocol` for one that this coordinator does not speak
 */
export function protocolOf({ headers }: Pick<IncomingMessage, 'headers'>): number {
  const sent = headers['baton-protocol'];
  if (sent === undefined) return requireSpoken(1, 'no version, which means 1');
  const text = String(sent);
  return requireSpoken(
    /^[1-9]\d{0,5}$/.test(text) ? Number(text) : NaN,
    `the version ${JSON.stringify(text.slice(0, 40))}`,
  );
}

function requireSpoken(version: number, said: string): number {
  if (version >= oldest && version <= newest) return version;
  throw new BatonError(
    'unsupported_protocol',
    `The runner's ${PROTOCOL_HEADER} says ${said}; this coordinator speaks ${SPOKEN}. ${remedyFor(version)}`,
  );
}

function remedyFor(version: number): string {
  if (version > newest) return 'Upgrade the coordinator, or run the runner with an earlier SDK until that is done.';
  if (version < oldest) return "Upgrade the runner's SDK.";
  return `Send one whole number, such as ${PROTOCOL_HEADER}: ${newest}.`;
}
