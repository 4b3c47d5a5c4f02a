// What the server does with the bodies of binary messages: it wraps announces and splits key batches.

import { BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES } from "../src/protocol/generated.ts";
import { type Bytes, join, u16, u32 } from "./peer/bytes.ts";

/** Returns the body that announces a participant. Its participant id is also its seat. */
export function announcement(number: number, announce: Uint8Array, display: Uint8Array): Bytes {
  return join(Uint8Array.of(1), u32(number), u16(number), announce, u16(display.length), display);
}

/** Returns a batch's header and its entry for a seat, if there is one. */
export function entryFor(seat: number, batch: Uint8Array): { header: Uint8Array; entry: Uint8Array } | undefined {
  for (let at = BATCH_HEADER_BYTES; at < batch.length; at += BATCH_ENTRY_BYTES) {
    const entry = batch.subarray(at, at + BATCH_ENTRY_BYTES);
    if ((((entry[0] ?? 0) << 8) | (entry[1] ?? 0)) === seat)
      return { header: batch.subarray(0, BATCH_HEADER_BYTES), entry };
  }
  return undefined;
}

/** Returns the body that delivers a batch entry to its recipient. */
export function boxed({ header, entry }: { header: Uint8Array; entry: Uint8Array }): Bytes {
  return join(Uint8Array.of(1), header, entry);
}
