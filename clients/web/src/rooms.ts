// Creates rooms. The invite secret is generated on this device and never leaves it; the server receives only a hash of
// the guest access that is derived from it.

import { encode } from "./base64url.ts";
import { CryptoWorker } from "./crypto-worker.ts";
import { TacetError } from "./errors.ts";
import { type RoomLink, roomLink, SECRET_BYTES } from "./link.ts";

const HTTP_UNAUTHORIZED = 401;
const HTTP_FORBIDDEN = 403;

/** Whether visitors can create rooms on a server. Returns `false` if the server cannot be reached. */
export async function roomsAreOpen(server: string): Promise<boolean> {
  try {
    const answer: unknown = await (await fetch(new URL("/v1/server", server))).json();
    return typeof answer === "object" && answer !== null && "open_rooms" in answer && answer.open_rooms === true;
  } catch {
    return false;
  }
}

/**
 * Creates a room.
 *
 * @param server origin of the server
 * @throws {TacetError} `rooms-closed`, `server-unreachable` or `protocol`
 */
export async function createRoom(server: string): Promise<RoomLink> {
  const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  const { worker, guestAccess } = await CryptoWorker.load(secret);
  worker.terminate();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", guestAccess));
  let response: Response;
  try {
    response = await fetch(new URL("/v1/rooms", server), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ access_hash: encode(hash) }),
    });
  } catch (thrown) {
    throw new TacetError("server-unreachable", undefined, { cause: thrown });
  }
  if (response.status === HTTP_UNAUTHORIZED || response.status === HTTP_FORBIDDEN) throw new TacetError("rooms-closed");
  if (!response.ok) throw new TacetError("protocol", "The server could not create a room. Try again later.");
  const answer: unknown = await response.json();
  if (typeof answer !== "object" || answer === null || !("room" in answer) || typeof answer.room !== "string") {
    throw new TacetError("protocol");
  }
  return roomLink({ server, room: answer.room, secret: encode(secret) });
}
