// How well a call is connected, and why not better. Pure.

import { TacetError } from "./errors.ts";
import type { MediaState } from "./media-watch.ts";

/** State of the connection of a call that goes on. */
export type ConnectionState =
  /** Signaling and media work. */
  | "connected"
  /** One of the two is being repaired; what works of the call goes on. */
  | "interrupted"
  /** Both are lost, or the call is being joined again. */
  | "reconnecting";

/** Why a call is not connected. */
export type LossCause =
  /** This device is not connected to a network. */
  | "offline"
  /** The server, or the way to it, does not answer. */
  | "network"
  /** The server restarted, or has no capacity. */
  | "server"
  /** Audio and video do not reach the server, although messages do. */
  | "media"
  /** This device slept, or its clock was changed, so it joins again with new keys. */
  | "device-slept"
  /** The worker that encrypts crashed, so this device joins again with new keys. */
  | "encryption";

/** Status of the connection of a call. */
export interface ConnectionStatus {
  readonly state: ConnectionState;
  /** When it was connected or lost last, in milliseconds on the clock of `performance.now()`. */
  readonly since: number;
  /** Why it is not connected; `null` while it is. */
  readonly cause: LossCause | null;
  /** The error behind the cause; `null` while it is connected. */
  readonly error: TacetError | null;
  /** When the next attempt begins, on the same clock; `null` while one is in progress or none is needed. */
  readonly nextAttempt: number | null;
}

/** What the status follows from. */
export interface ConnectionFacts {
  readonly now: number;
  readonly online: boolean;
  /** Why there is no signaling link; `null` while there is one. */
  readonly loss: TacetError | null;
  readonly media: MediaState;
  /** Why the keys are void; `null` while they are not. */
  readonly keysVoid: TacetError | null;
  readonly nextAttempt: number | null;
}

/** The status of a call that has just been joined. */
export function connectedSince(now: number): ConnectionStatus {
  return { state: "connected", since: now, cause: null, error: null, nextAttempt: null };
}

/** Returns the status that follows from the facts: the same object if nothing changed. */
export function nextStatus(before: ConnectionStatus, facts: ConnectionFacts): ConnectionStatus {
  const { now, loss, media, keysVoid } = facts;
  const mediaLost = media === "interrupted" || media === "blocked";
  if (loss === null && keysVoid === null && !mediaLost) {
    return before.state === "connected" ? before : connectedSince(now);
  }
  const state = keysVoid !== null || (loss !== null && mediaLost) ? "reconnecting" : "interrupted";
  const since = before.state === "connected" ? now : before.since;
  const error = keysVoid ?? loss ?? mediaError(media);
  const cause = causeOf(facts);
  const { nextAttempt } = facts;
  const unchanged =
    before.state === state &&
    before.cause === cause &&
    before.nextAttempt === nextAttempt &&
    before.error?.code === error.code;
  return unchanged ? before : { state, since, cause, error, nextAttempt };
}

function mediaError(media: MediaState): TacetError {
  return media === "blocked"
    ? new TacetError("media-path")
    : new TacetError("media-path", "Audio and video are interrupted.");
}

function causeOf({ online, loss, keysVoid }: ConnectionFacts): LossCause {
  if (keysVoid?.code === "device-slept") return "device-slept";
  if (keysVoid?.code === "encryption") return "encryption";
  if (!online) return "offline";
  if (loss === null || loss.code === "media-path") return "media";
  return loss.code === "server-busy" || loss.code === "room-full" ? "server" : "network";
}
