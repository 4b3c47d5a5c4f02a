// What a page keeps, for example in `sessionStorage`, to return to its place in a call after it was loaded again.
//
// A ticket contains no secret of the call: the token in it is sealed by the server, can be used once, within 30 s of
// going away, and only together with the room link.

import type { ParticipantId, RoomId, Source } from "./protocol/generated.ts";

/** A ticket for one return to a call. Plain data. */
export interface ReturnTicket {
  readonly room: RoomId;
  /** Token of one return, base64url. */
  readonly token: string;
  /** The participant id that is kept. */
  readonly participant: ParticipantId;
  /** The sources that were published, and whether each was muted. */
  readonly muted: { readonly [source in Source]?: boolean };
}

/** Reads a ticket that was stored as JSON. Returns `null` if it is none. */
export function parseTicket(text: string | null): ReturnTicket | null {
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return isTicket(value) ? value : null;
  } catch {
    return null;
  }
}

function isTicket(value: unknown): value is ReturnTicket {
  if (typeof value !== "object" || value === null) return false;
  const { room, token, participant, muted } = value as Record<string, unknown>;
  return (
    typeof room === "string" &&
    typeof token === "string" &&
    typeof participant === "number" &&
    typeof muted === "object" &&
    muted !== null
  );
}
