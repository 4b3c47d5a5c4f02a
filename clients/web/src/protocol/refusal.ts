// Maps the server's refusals and WebSocket close codes to errors of the SDK.

import { TacetError, type TacetErrorCode } from "../errors.ts";
import type { ErrorCode } from "./generated.ts";

/** WebSocket close codes (RFC 6455 section 7.4.1), and those of the signaling protocol from 4000. */
export const CloseCode = {
  Normal: 1000,
  Abnormal: 1006,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  BadMessages: 4400,
  Authentication: 4401,
  RoomEnded: 4404,
  Rate: 4429,
} as const;

const CODE_OF_REFUSAL: Partial<Record<ErrorCode, TacetErrorCode>> = {
  unauthenticated: "access-refused",
  forbidden: "access-refused",
  no_room: "no-room",
  room_full: "room-full",
  server_busy: "server-unreachable",
};

/** Returns the error for a refused request. */
export function errorOfRefusal(reason: ErrorCode): TacetError {
  return new TacetError(CODE_OF_REFUSAL[reason] ?? "protocol");
}

/** Returns the error for a connection that the server, or the network, closed. */
export function errorOfClose(code: number): TacetError {
  switch (code) {
    case CloseCode.Authentication:
      return new TacetError("access-refused");
    case CloseCode.RoomEnded:
      return new TacetError("no-room", "The room was closed.");
    case CloseCode.BadMessages:
    case CloseCode.Rate:
    case CloseCode.PolicyViolation:
    case CloseCode.MessageTooBig:
      return new TacetError("protocol");
    default:
      return new TacetError("server-unreachable", "The connection to the server was lost.");
  }
}
