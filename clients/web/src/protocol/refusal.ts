// Maps the server's refusals and WebSocket close codes to errors of the SDK.

import { TacetError, type TacetErrorCode, unreachable } from "../errors.ts";
import type { ErrorCode } from "./generated.ts";

/** WebSocket close codes (RFC 6455 section 7.4.1), and those of the signaling protocol from 4000. */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  Abnormal: 1006,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  Internal: 1011,
  Restart: 1012,
  TryLater: 1013,
  BadMessages: 4400,
  Removed: 4403,
  RoomEnded: 4404,
  Replaced: 4409,
  NotResumable: 4410,
  Rate: 4429,
} as const;

const CODE_OF_REFUSAL: Partial<Record<ErrorCode, TacetErrorCode>> = {
  unauthenticated: "access-refused",
  token_expired: "access-refused",
  forbidden: "access-refused",
  banned: "removed",
  room_locked: "room-locked",
  no_room: "no-room",
  rate_limited: "server-busy",
  room_full: "room-full",
  server_busy: "server-busy",
  internal: "server-busy",
};

/** What is said of refusals that others share a code with. */
const MESSAGE_OF_REFUSAL: Partial<Record<ErrorCode, string>> = {
  token_expired: "Your pass for this room has expired. Ask for a new one.",
  banned: "You were banned from this room.",
};

/** A request that the server refused. */
export class Refused extends TacetError {
  readonly reason: ErrorCode;

  constructor(reason: ErrorCode) {
    const code = CODE_OF_REFUSAL[reason];
    super(
      code ?? "protocol",
      code === undefined ? `The server rejected a request (${reason}).` : MESSAGE_OF_REFUSAL[reason],
    );
    this.reason = reason;
  }
}

/** Whether the server does not continue the session that the client showed, so that it has to enter without it. */
export function isNotResumable(thrown: unknown): boolean {
  return thrown instanceof Refused && thrown.reason === "not_resumable";
}

/** Returns the error for a connection that the server, or the network, closed. */
export function errorOfClose(code: number): TacetError {
  switch (code) {
    case CloseCode.Removed:
      return new TacetError("removed");
    case CloseCode.RoomEnded:
      return new TacetError("no-room", "The room was closed.");
    case CloseCode.Replaced:
      return new TacetError("moved");
    case CloseCode.NotResumable:
      return new Refused("not_resumable");
    case CloseCode.BadMessages:
    case CloseCode.Rate:
    case CloseCode.PolicyViolation:
    case CloseCode.MessageTooBig:
      return new TacetError("protocol");
    case CloseCode.GoingAway:
    case CloseCode.Internal:
    case CloseCode.Restart:
    case CloseCode.TryLater:
      return new TacetError("server-busy", "The server is restarting.");
    default:
      return unreachable("The connection to the server was lost.");
  }
}
