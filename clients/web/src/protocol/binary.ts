// Binary messages: `type1 || n4 || body`, big endian. `n` is the client's request number or the server's running
// number. The bodies belong to the frame-encryption session in the worker; this file only frames them.

import { MAX_WANTED_KEYS, WANTED_KEY_BYTES } from "./generated.ts";

/** Type byte of a binary message. */
export const BinaryType = { KeyBatch: 1, Keys: 2, Announces: 3, KeyRequest: 4 } as const;

/** A binary message from the server. */
export interface ServerBinary {
  readonly type: number;
  /** The server's running number. */
  readonly seq: number;
  readonly body: Uint8Array;
}

const PREFIX_BYTES = 5;

/** Frames a body. */
export function frameBinary(type: number, n: number, ...body: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = body.reduce((sum, part) => sum + part.length, PREFIX_BYTES);
  const message = new Uint8Array(length);
  message[0] = type;
  new DataView(message.buffer).setUint32(1, n);
  let offset = PREFIX_BYTES;
  for (const part of body) {
    message.set(part, offset);
    offset += part.length;
  }
  return message;
}

/** Reads type, number and body; `null` if the message is too short to have them. */
export function parseBinary(message: ArrayBuffer): ServerBinary | null {
  if (message.byteLength < PREFIX_BYTES) return null;
  const view = new DataView(message);
  return { type: view.getUint8(0), seq: view.getUint32(1), body: new Uint8Array(message, PREFIX_BYTES) };
}

/** Cuts wanted keys into the bodies of key requests, each `count1 || { join_id16 kid8 }*`. */
export function keyRequestBodies(wanted: Uint8Array): Uint8Array[] {
  const most = MAX_WANTED_KEYS * WANTED_KEY_BYTES;
  const bodies: Uint8Array[] = [];
  for (let start = 0; start < wanted.length; start += most) {
    const part = wanted.subarray(start, start + most);
    const body = new Uint8Array(1 + part.length);
    body[0] = part.length / WANTED_KEY_BYTES;
    body.set(part, 1);
    bodies.push(body);
  }
  return bodies;
}
