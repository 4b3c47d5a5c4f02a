// Framing of binary messages: `type1 || number4 || body`, big endian. `number` is the client's request number or the
// server's sequence number. The bodies belong to the frame-encryption session in the worker and are passed on unread.

import { MAX_WANTED_KEYS, WANTED_KEY_BYTES } from "./generated.ts";

/** Type byte of a binary message. */
export const BinaryType = { KeyBatch: 1, Keys: 2, Announces: 3, KeyRequest: 4, Chat: 5 } as const;
export type BinaryType = (typeof BinaryType)[keyof typeof BinaryType];

/** A binary message from the server. */
export interface ServerBinary {
  /** A `BinaryType`, or an unknown type of a newer server. */
  readonly type: number;
  /** The server's sequence number. */
  readonly seq: number;
  readonly body: Uint8Array;
}

const PREFIX_BYTES = 5;

/** Writes a message with this request number. */
export function frameBinary(type: BinaryType, request: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(PREFIX_BYTES + body.length);
  message[0] = type;
  new DataView(message.buffer).setUint32(1, request);
  message.set(body, PREFIX_BYTES);
  return message;
}

/** Reads a message. Returns `null` if it is too short to have a type and a number. */
export function parseBinary(message: ArrayBuffer): ServerBinary | null {
  if (message.byteLength < PREFIX_BYTES) return null;
  const view = new DataView(message);
  return { type: view.getUint8(0), seq: view.getUint32(1), body: new Uint8Array(message, PREFIX_BYTES) };
}

/** Splits wanted keys into the bodies of key requests, each `count1 || { join_id16 kid8 }*`. */
export function keyRequestBodies(wanted: Uint8Array): Uint8Array[] {
  const maxBytes = MAX_WANTED_KEYS * WANTED_KEY_BYTES;
  const bodies: Uint8Array[] = [];
  for (let start = 0; start < wanted.length; start += maxBytes) {
    const part = wanted.subarray(start, start + maxBytes);
    const body = new Uint8Array(1 + part.length);
    body[0] = part.length / WANTED_KEY_BYTES;
    body.set(part, 1);
    bodies.push(body);
  }
  return bodies;
}
