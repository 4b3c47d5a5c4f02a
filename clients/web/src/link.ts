// The room link: `https://HOST/r/ROOM#SECRET`. ROOM is 16 bytes (22 characters of base64url), SECRET 32 bytes (43).
//
// The secret stands in the fragment, which browsers never send to a server. Whoever has the link may enter, and may
// pose as any other who has only the link.

import { decodeExactly, encode } from "./base64url.ts";
import { TacetError } from "./errors.ts";

/** A parsed room link. */
export interface RoomLink {
  /** Origin of the server, such as `https://calls.example`. */
  readonly server: string;
  /** The room, 22 characters of base64url. */
  readonly room: string;
  /** The room, 16 bytes. */
  readonly roomBytes: Uint8Array<ArrayBuffer>;
  /** The invite secret, 32 bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

const ROOM_BYTES = 16;
const SECRET_BYTES = 32;

/**
 * Reads a room link.
 *
 * @throws {TacetError} `bad-link`, saying which part is missing or malformed.
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
  if (room === undefined) throw new TacetError("bad-link", "This link does not name a room.");
  return roomLink(url.origin, room, url.hash.slice(1));
}

/**
 * Puts a room link together from its parts; `secret` is base64url.
 *
 * @throws {TacetError} `bad-link`, saying which part is missing or malformed.
 */
export function roomLink(server: string, room: string, secret: string): RoomLink {
  const roomBytes = decodeExactly(room, ROOM_BYTES);
  if (roomBytes === null) throw new TacetError("bad-link", "The room in this link is misspelt or cut off.");
  if (secret === "") {
    throw new TacetError("bad-link", "This link lacks its secret, the part after the # sign. Ask for the whole link.");
  }
  const secretBytes = decodeExactly(secret, SECRET_BYTES);
  if (secretBytes === null) {
    throw new TacetError("bad-link", "The secret of this link, the part after the # sign, is misspelt or cut off.");
  }
  return { server: new URL(server).origin, room, roomBytes, secret: secretBytes };
}

/** The link as text. It holds the secret: show it only to those who may enter. */
export function formatLink(link: Pick<RoomLink, "server" | "room" | "secret">): string {
  return `${link.server}/r/${link.room}#${encode(link.secret)}`;
}
