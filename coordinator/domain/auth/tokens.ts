import { isStorableText, name, role } from '@baton/runner-sdk/protocol';
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey, type KeyLike } from 'jose';
import { z } from 'zod';
import { BatonError } from '../../errors';
import type { Caller } from './caller';
import { TtlCache } from './ttl-cache';

/** Issuer and requirements of JSON Web Tokens. */
export interface TokenSettings {
  /** The shared secret of HS256, or the URL of the issuer's public keys. */
  source: { secret: string } | { jwksUrl: string };
  issuer: string;
  audience: string;
  /** The claim with the role. */
  roleClaim: string;
}

/**
 * Pinned, so that a token cannot choose how it is verified: never `none`, and never a public key used as a shared
 * secret.
 */
const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const SYMMETRIC = ['HS256'];
/** Longer tokens are refused before any cryptography. */
const MOST_CHARACTERS = 8192;
/** Tolerated difference between clocks. Nothing is answered to a token for longer than this after it has expired. */
const CLOCK_TOLERANCE_S = 4;
const KEEP_MS = 3000;
const JWKS_TIMEOUT_MS = 5000;
const JWKS_COOLDOWN_MS = 5000;

const subject = z.string().min(1).max(200).refine(isStorableText);
/** A present claim limits the token to the names in it, even if it is empty; only an absent claim does not limit it. */
const names = z.array(name).max(200).optional();

/** Whether a bearer looks like a token: three parts of base64url. */
export function isToken(bearer: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(bearer);
}

interface Verified {
  caller: Caller;
  credential: { kind: 'token'; endsAt: number };
}

/** Verifies JSON Web Tokens and finds their callers. */
export class TokenVerifier {
  private readonly known = new TtlCache<Verified>(KEEP_MS);
  private readonly key: KeyLike | Uint8Array | JWTVerifyGetKey;
  private readonly algorithms: string[];

  constructor(private readonly settings: TokenSettings) {
    const { source } = settings;
    this.algorithms = 'secret' in source ? SYMMETRIC : ASYMMETRIC;
    this.key =
      'secret' in source
        ? new TextEncoder().encode(source.secret)
        : createRemoteJWKSet(new URL(source.jwksUrl), {
            timeoutDuration: JWKS_TIMEOUT_MS,
            cooldownDuration: JWKS_COOLDOWN_MS,
          });
  }

  /** @throws {BatonError} `unauthenticated`; `unavailable` when the issuer's keys cannot be loaded */
  async verify(token: string): Promise<Verified> {
    if (token.length > MOST_CHARACTERS)
      throw new BatonError('unauthenticated', `The token is longer than ${MOST_CHARACTERS} characters.`);
    const verified = await this.known.recall(token, async () => {
      const payload = await this.payloadOf(token);
      const endsAt = ((payload.exp ?? 0) + CLOCK_TOLERANCE_S) * 1000;
      return { caller: this.toCaller(payload), credential: { kind: 'token' as const, endsAt } };
    });
    // It may have expired since it was cached.
    if (Date.now() >= verified.credential.endsAt) throw new BatonError('unauthenticated', 'The token has expired.');
    return verified;
  }

  private async payloadOf(token: string): Promise<JWTPayload> {
    const { issuer, audience } = this.settings;
    const options = {
      issuer,
      audience,
      algorithms: this.algorithms,
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ['sub', 'exp'],
    };
    try {
      const { payload } =
        typeof this.key === 'function'
          ? await jwtVerify(token, this.key, options)
          : await jwtVerify(token, this.key, options);
      return payload;
    } catch (error) {
      throw refusalOf(error);
    }
  }

  private toCaller(payload: JWTPayload): Caller {
    const { roleClaim } = this.settings;
    const wanted = role.safeParse(Object.hasOwn(payload, roleClaim) ? payload[roleClaim] : undefined);
    if (!wanted.success)
      throw new BatonError(
        'unauthenticated',
        `The token's claim ${roleClaim} must be one of ${role.options.join(', ')}.`,
      );
    const said = z.object({ sub: subject, baton_queues: names, baton_types: names }).safeParse(payload);
    if (!said.success)
      throw new BatonError(
        'unauthenticated',
        `The token's claim ${said.error.issues[0]?.path.join('.')} cannot be used.`,
      );
    const { sub, baton_queues: queues, baton_types: types } = said.data;
    return {
      keyId: `jwt:${sub}`,
      name: sub,
      role: wanted.data,
      userId: wanted.data === 'user' ? sub : null,
      queues: queues ?? null,
      types: types ?? null,
    };
  }
}

/**
 * Faults of the token are described by kind, never with its content; all others are those of the issuer or the network.
 */
function refusalOf(error: unknown): BatonError {
  if (error instanceof errors.JWTExpired) return new BatonError('unauthenticated', 'The token has expired.');
  if (error instanceof errors.JWTClaimValidationFailed)
    return new BatonError('unauthenticated', `The token's claim ${error.claim} is not as wanted.`);
  const isIssuers =
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === 'ERR_JOSE_GENERIC';
  if (isIssuers && !(error instanceof TypeError && error.message.startsWith('Key'))) {
    return new BatonError('unavailable', "The keys of the tokens' issuer cannot be had at the moment.", {
      retryAfterMs: 2000,
      cause: error,
    });
  }
  return new BatonError('unauthenticated', 'The token is not valid.');
}
