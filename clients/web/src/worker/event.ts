// Events of the frame-encryption session that the client writes itself, as `kind` and body, big endian. The bodies of
// the other events come from the server and are passed on unread.

import type { ParticipantId, Seat } from "../protocol/generated.ts";
import type { StreamNumber } from "../sources.ts";
import { EventKind } from "./action.ts";

/** An event of the session. */
export interface SessionEvent {
  readonly kind: EventKind;
  readonly body: Uint8Array;
}

/** This device has joined: `seat2`. */
export function joinedEvent(seat: Seat): SessionEvent {
  const body = new Uint8Array(2);
  new DataView(body.buffer).setUint16(0, seat);
  return { kind: EventKind.Joined, body };
}

/** Participants have left: `participant4*`. */
export function leftEvent(participants: readonly ParticipantId[]): SessionEvent {
  const body = new Uint8Array(participants.length * 4);
  const view = new DataView(body.buffer);
  participants.forEach((participant, index) => {
    view.setUint32(index * 4, participant);
  });
  return { kind: EventKind.Left, body };
}

/** A stream of this device opens or closes: `stream4`. */
export function streamEvent(kind: "opened" | "closed", stream: StreamNumber): SessionEvent {
  const body = new Uint8Array(4);
  new DataView(body.buffer).setUint32(0, stream);
  return { kind: kind === "opened" ? EventKind.StreamOpened : EventKind.StreamClosed, body };
}

/** The server has accepted a key batch: `number4`. */
export function keyBatchAcceptedEvent(number: number): SessionEvent {
  const body = new Uint8Array(4);
  new DataView(body.buffer).setUint32(0, number);
  return { kind: EventKind.KeyBatchAccepted, body };
}

/** The user of this device says something: `id8 type1 text`. */
export function sendChatEvent(id: Uint8Array, content: Uint8Array): SessionEvent {
  const body = new Uint8Array(id.length + content.length);
  body.set(id);
  body.set(content, id.length);
  return { kind: EventKind.SendChat, body };
}

/** The server has accepted a chat message of this device, or has refused it for good: `id8`. */
export function chatAnsweredEvent(id: Uint8Array): SessionEvent {
  return { kind: EventKind.ChatAnswered, body: id.slice() };
}

/** The connection to the server is lost: an empty body. */
export function detachedEvent(): SessionEvent {
  return { kind: EventKind.Detached, body: new Uint8Array(0) };
}

/**
 * The session goes on over a new connection: `fresh1`. `fresh` if the server granted participant and seat again but has
 * forgotten the rest: the announce that follows belongs into `join`, and `joinedEvent` is due once more.
 */
export function attachedEvent(fresh: boolean): SessionEvent {
  return { kind: EventKind.Attached, body: Uint8Array.of(fresh ? 1 : 0) };
}
