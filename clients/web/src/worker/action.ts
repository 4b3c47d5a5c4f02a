// Actions of the frame-encryption session, read from bytes: `kind1 || body`, big endian.

import { CHAT_ID_BYTES, type ChatContent, readChatContent } from "../chat.ts";
import { ActionKind, ProblemNumber } from "../e2ee/abi.ts";
import { ANNOUNCE_BYTES } from "../protocol/generated.ts";

export { EventKind } from "../e2ee/abi.ts";

/** Why the session reports a problem. */
export type ProblemCode =
  | "announce-refused"
  | "keys-refused"
  | "clock-skew"
  | "equivocation"
  | "roster-differs"
  | "key-missing"
  | "chat-refused"
  | "unknown";

/** What the session requests or reports. */
export type Action =
  /** Send the announce: in `join` if it is the first one of a join, else as a renewal. */
  | {
      readonly kind: "announce";
      readonly first: boolean;
      readonly announce: Uint8Array;
      readonly display: Uint8Array;
    }
  /** Send a key batch, again on the next connection until it is accepted, and report that by `keyBatchAcceptedEvent`. */
  | { readonly kind: "key-batch"; readonly number: number; readonly body: Uint8Array<ArrayBuffer> }
  /** Request these keys. */
  | { readonly kind: "key-request"; readonly wanted: Uint8Array<ArrayBuffer> }
  /** Send a chat message, unless the connection ends before: it is sealed again for the next one. */
  | { readonly kind: "send-chat"; readonly id: Uint8Array; readonly sealed: Uint8Array }
  /** A participant says something. */
  | { readonly kind: "chat"; readonly participant: number; readonly content: ChatContent }
  /** A participant proved that it holds the invite secret, and this is its name. */
  | { readonly kind: "verified"; readonly participant: number; readonly seat: number; readonly name: string }
  | { readonly kind: "removed"; readonly participant: number }
  /** Media of this stream may start. */
  | { readonly kind: "stream-ready"; readonly stream: number }
  /** A key of this sender became usable. */
  | { readonly kind: "key-installed"; readonly participant: number }
  | { readonly kind: "problem"; readonly participant: number; readonly code: ProblemCode }
  /** A problem that lasted does so no longer. */
  | { readonly kind: "problem-solved"; readonly participant: number; readonly code: ProblemCode }
  /** The call code is now this one, 32 bytes. Follows the actions that changed the roster. */
  | { readonly kind: "call-code"; readonly code: Uint8Array<ArrayBuffer> }
  | { readonly kind: "generation"; readonly generation: number; readonly step: number }
  /** The session has ended and its keys are erased: join with a new one. */
  | { readonly kind: "ended" };

const PROBLEMS: Readonly<Record<number, ProblemCode>> = {
  [ProblemNumber.AnnounceRefused]: "announce-refused",
  [ProblemNumber.KeysRefused]: "keys-refused",
  [ProblemNumber.ClockSkew]: "clock-skew",
  [ProblemNumber.Equivocation]: "equivocation",
  [ProblemNumber.RosterDiffers]: "roster-differs",
  [ProblemNumber.KeyMissing]: "key-missing",
  [ProblemNumber.ChatRefused]: "chat-refused",
} satisfies Record<ProblemNumber, ProblemCode>;

/** Parses an action. Returns `null` if its kind is unknown. */
export function readAction(bytes: Uint8Array): Action | null {
  const body = bytes.slice(1);
  const view = new DataView(body.buffer);
  switch (bytes[0]) {
    case ActionKind.SendAnnounce:
      return {
        kind: "announce",
        first: body[0] === 1,
        announce: body.subarray(1, 1 + ANNOUNCE_BYTES),
        display: body.subarray(1 + ANNOUNCE_BYTES),
      };
    case ActionKind.SendKeyBatch:
      return { kind: "key-batch", number: view.getUint32(0), body: body.slice(4) };
    case ActionKind.SendKeyRequest:
      return { kind: "key-request", wanted: body };
    case ActionKind.SendChat:
      return { kind: "send-chat", id: body.subarray(0, CHAT_ID_BYTES), sealed: body.subarray(CHAT_ID_BYTES) };
    case ActionKind.ChatReceived:
      return {
        kind: "chat",
        participant: view.getUint32(0),
        content: readChatContent(body.subarray(4 + CHAT_ID_BYTES)),
      };
    case ActionKind.ParticipantVerified:
      return {
        kind: "verified",
        participant: view.getUint32(0),
        seat: view.getUint16(4),
        name: new TextDecoder().decode(body.subarray(6)),
      };
    case ActionKind.ParticipantRemoved:
      return { kind: "removed", participant: view.getUint32(0) };
    case ActionKind.StreamReady:
      return { kind: "stream-ready", stream: view.getUint32(0) };
    case ActionKind.KeyInstalled:
      return { kind: "key-installed", participant: view.getUint32(0) };
    case ActionKind.Problem:
      return { kind: "problem", participant: view.getUint32(0), code: PROBLEMS[view.getUint8(4)] ?? "unknown" };
    case ActionKind.ProblemSolved:
      return { kind: "problem-solved", participant: view.getUint32(0), code: PROBLEMS[view.getUint8(4)] ?? "unknown" };
    case ActionKind.CallCodeChanged:
      return { kind: "call-code", code: body };
    case ActionKind.GenerationChanged:
      return { kind: "generation", generation: view.getUint32(0), step: view.getUint8(4) };
    case ActionKind.Ended:
      return { kind: "ended" };
    default:
      return null;
  }
}
