// Makes rooms. The secret is drawn here and stays here; the server learns the hash of what is derived from it.

import { encode } from "./base64url.ts";
import { CryptoWorker } from "./crypto-worker.ts";
import { TacetError } from "./errors.ts";
import { type RoomLink, roomLink } from "./link.ts";

/** Whether a server lets visitors make rooms; `false` also if it cannot be asked. */
export async function roomsAreOpen(server: string): Promise<boolean> {
  try {
    const answer: unknown = await (await fetch(new URL("/v1/server", server))).json();
    return typeof answer === "object" && answer !== null && "open_rooms" in answer && answer.open_rooms === true;
  } catch {
    return false;
  }
}

/**
 * Makes a room on a server that allows it.
 *
 * @param server origin of the server
 * @throws {TacetError} `rooms-closed`, `server-unreachable` or `protocol`
 */
export async function makeRoom(server: string): Promise<RoomLink> {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const { worker, access } = await CryptoWorker.load(secret);
  worker.terminate();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", access));
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
  if (response.status === 401 || response.status === 403) throw new TacetError("rooms-closed");
  if (!response.ok) throw new TacetError("protocol", "The server could not make a room. Try again later.");
  const answer: unknown = await response.json();
  if (typeof answer !== "object" || answer === null || !("room" in answer) || typeof answer.room !== "string") {
    throw new TacetError("protocol");
  }
  return roomLink(server, answer.room, encode(secret));
}
