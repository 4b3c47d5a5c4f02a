// What to tell the person about the state of the connection.

import type { ConnectionStatus, MediaState } from "../index.ts";
import type { Loss } from "./connection-banner.ts";
import type { LossCause } from "./words.ts";

/** Media that has not come back for so long is blocked rather than interrupted. */
const BLOCKED_MS = 10_000;

/**
 * Returns the loss to show, or `null` while all is well. `now` is in the time of `performance.now()`; `flowed` says whether
 * media has flowed in this call.
 */
export function lossOf(status: ConnectionStatus, media: MediaState, flowed: boolean, now: number): Loss | null {
  const { state, cause, since } = status;
  if (state === "connected") return null;
  return { cause: causeOf(cause, state === "interrupted" && media === "connected", flowed, now - since), since };
}

function causeOf(cause: ConnectionStatus["cause"], mediaFlows: boolean, flowed: boolean, lasted: number): LossCause {
  if (cause === "offline") return "offline";
  if (mediaFlows) return "signaling";
  if (cause === "media") return flowed && lasted < BLOCKED_MS ? "media" : "media-blocked";
  if (cause === "device-slept") return "slept";
  return cause === "encryption" ? "code" : "server-unreachable";
}
