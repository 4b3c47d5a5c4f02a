// This device's place in a call, and how it proves to have it.

import { decode, decodeExactly, encode } from "./base64url.ts";
import type { CryptoSession } from "./crypto-session.ts";
import { TacetError } from "./errors.ts";
import type { Challenge, ParticipantId, Resume, Tokens, Welcome } from "./protocol/generated.ts";

const SESSION_BYTES = 16;
const NONCE_BYTES = 32;

/** A place, as the server granted it. */
export interface Membership {
  readonly participant: ParticipantId;
  /** Id of the session with the server, 16 bytes. */
  readonly id: Uint8Array;
  /** The keys with which the place was taken. */
  readonly session: CryptoSession;
  /** By which the place can be continued. */
  readonly tokens: Tokens;
}

/** Returns the place that `welcome` grants to a session. */
export function membership(welcome: Welcome, session: CryptoSession, tokens: Tokens): Membership {
  const id = decodeExactly(welcome.session, SESSION_BYTES);
  if (id === null) throw new TacetError("protocol");
  return { participant: welcome.participant, id, session, tokens };
}

/** What is known when a place is continued. */
export interface Continuation {
  /** Origin of the server as this page reaches it. */
  readonly origin: string;
  readonly challenge: Challenge;
  /** Number of the last message that arrived. */
  readonly lastSeq: number;
}

/**
 * Signs that this device had the place. A session whose worker crashed cannot sign, and returns as a page that was loaded
 * again does.
 *
 * @throws {TacetError} `protocol` if the challenge is malformed; nothing is signed then
 */
export async function resume(place: Membership, { origin, challenge, lastSeq }: Continuation): Promise<Resume> {
  const { id, participant, session, tokens } = place;
  const nonce = decodeExactly(challenge.nonce, NONCE_BYTES);
  const token = decode(tokens.session);
  if (nonce === null || token === null) throw new TacetError("protocol");
  const proof = await session.prove({ origin, session: id, participant, token, nonce });
  if (proof === null) return { type: "reload", token: tokens.reload };
  return { type: "session", token: tokens.session, last_seq: lastSeq, proof: encode(proof) };
}
