// The call code: what participants compare to learn that the same devices are in the call for all of them. A device that
// stands between two of them, with the link and the server's help, changes it.
//
// The worker derives it from the join ids of the devices on its roster; its page only shows it.

import { encode } from "./base64url.ts";

const GROUPS = 6;
const GROUP_BYTES = 5;
const GROUP_SIZE = 100_000n;

/** A call code. It is equal on all devices with the same roster, and on no others. It is not secret. */
export interface CallCode {
  /** Six groups of five digits, to be read aloud. */
  readonly groups: readonly string[];
  /** All 32 bytes as text (base64url), to be compared by machines, for example from a QR code. */
  readonly text: string;
}

/** Returns the code with these 32 bytes. Group n, from 0, is bytes 5n to 5n + 5 as a big-endian number, modulo 100,000. */
export function callCode(bytes: Uint8Array): CallCode {
  const groups = Array.from({ length: GROUPS }, (_, group) => {
    const part = bytes.subarray(group * GROUP_BYTES, (group + 1) * GROUP_BYTES);
    const number = part.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return String(number % GROUP_SIZE).padStart(5, "0");
  });
  return { groups, text: encode(bytes) };
}
