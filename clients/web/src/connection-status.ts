// How well a call is connected, and why not better.

import type { TacetError } from "./errors.ts";

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
  /** When this state began, in milliseconds on the clock of `performance.now()`. */
  readonly since: number;
  /** Why it is not connected; `null` while it is. */
  readonly cause: LossCause | null;
  /** The error behind the cause, if there is one. */
  readonly error: TacetError | null;
  /** When the next attempt begins, on the same clock; `null` while one is in progress or none is needed. */
  readonly nextAttempt: number | null;
}
