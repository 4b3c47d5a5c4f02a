// What to tell the person about the state of the connection.

import type { ConnectionStatus, MediaState } from "../index.ts";
import type { Loss } from "./connection-banner.ts";
import type { LossCause } from "./words.ts";

/** Returns the loss to show, or `null` while all is well. */
export function lossOf({ state, cause, since }: ConnectionStatus, media: MediaState): Loss | null {
  if (media === "blocked") return { cause: "media-blocked", since };
  return state === "connected" ? null : { cause: causeOf(cause, media === "connected"), since };
}

function causeOf(cause: ConnectionStatus["cause"], mediaFlows: boolean): LossCause {
  if (cause === "offline") return "offline";
  if (mediaFlows) return "signaling";
  if (cause === "device-slept") return "slept";
  if (cause === "encryption") return "code";
  return cause === "media" ? "media" : "server-unreachable";
}
