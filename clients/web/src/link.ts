// The room link: `https://HOST/r/ROOM#SECRET`. ROOM is 16 bytes (22 characters of base64url), SECRET 32 bytes (43).
//
// The secret is in the fragment, which browsers never send to a server. Anyone who has the link can join, and can
// impersonate any other guest.

import { decodeExactly, encode } from "./base64url.ts";
import { TacetError } from "./errors.ts";

/** A parsed room link. */
export interface RoomLink {
  /** Origin of the server, such as `https://calls.example`. */
  readonly server: string;
  /** Room id, 22 characters of base64url. */
  readonly room: string;
  /** Room id, 16 bytes. */
  readonly roomBytes: Uint8Array<ArrayBuffer>;
  /** The invite secret, 32 bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

const ROOM_BYTES = 16;
/** Length of an invite secret. */
export const SECRET_BYTES = 32;

/**
 * Parses a room link.
 *
 * @throws {TacetError} `bad-link`; the message says which part is missing or malformed.
 */
export function parseLink(link: string): RoomLink {
  let url: URL;
  try {
    url = new URL(link);
  } catch {
    throw new TacetError("bad-link", "This is not a link.");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TacetError("bad-link", "A room link starts with https:// or http://.");
  }
  const room = /^\/r\/([^/]*)\/?$/.exec(url.pathname)?.[1];
  if (room === undefined) throw new TacetError("bad-link", "This link does not lead to a room.");
  return roomLink({ server: url.origin, room, secret: url.hash.slice(1) });
}

/** The parts of a room link as text. */
export interface RoomLinkParts {
  /** Origin of the server. */
  readonly server: string;
  /** Room id, base64url. */
  readonly room: string;
  /** Invite secret, base64url. */
  readonly secret: string;
}

/**
 * Builds a room link from its parts.
 *
 * @throws {TacetError} `bad-link`; the message says which part is missing or malformed.
 */
export function roomLink({ server, room, secret }: RoomLinkParts): RoomLink {
  const roomBytes = decodeExactly(room, ROOM_BYTES);
  if (roomBytes === null) throw new TacetError("bad-link", "The room ID in this link is mistyped or cut off.");
  if (secret === "") {
    throw new TacetError(
      "bad-link",
      "This link is missing its secret, the part after the # sign. Ask for the full link.",
    );
  }
  const secretBytes = decodeExactly(secret, SECRET_BYTES);
  if (secretBytes === null) {
    throw new TacetError("bad-link", "The secret in this link, the part after the # sign, is mistyped or cut off.");
  }
  return { server: new URL(server).origin, room, roomBytes, secret: secretBytes };
}

/** Formats a room link. The text contains the secret: show it only to people who may join. */
export function formatLink(link: Pick<RoomLink, "server" | "room" | "secret">): string {
  return `${link.server}/r/${link.room}#${encode(link.secret)}`;
}
