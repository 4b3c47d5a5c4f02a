// Profile N: SFrame ciphertexts in RTP payloads (draft-ietf-avtcore-rtp-sframe-02), each with a descriptor S, E, T.

import { type Bytes, join } from "./bytes.ts";

const START = 0x80;
const END = 0x40;
const PACKETIZED = 0x20;

export function cut(ciphertext: Bytes, maxPayload: number, packetized: boolean): Bytes[] {
  const payloads: Bytes[] = [];
  for (let at = 0; at < ciphertext.length; at += maxPayload - 1) {
    const end = at + maxPayload - 1;
    const edges = (at === 0 ? START : 0) | (end >= ciphertext.length ? END : 0);
    payloads.push(join(Uint8Array.of(edges | (packetized ? PACKETIZED : 0)), ciphertext.subarray(at, end)));
  }
  return payloads;
}

/** Joins the payloads of a ciphertext, in order. @throws if they are not exactly those of one ciphertext */
export function assemble(payloads: readonly Bytes[]): { ciphertext: Bytes; packetized: boolean } {
  const descriptors = payloads.map(([first]) => first ?? 0);
  const packetized = ((descriptors[0] ?? 0) & PACKETIZED) !== 0;
  descriptors.forEach((descriptor, index) => {
    const starts = ((descriptor & START) !== 0) === (index === 0);
    const ends = ((descriptor & END) !== 0) === (index === payloads.length - 1);
    if (!starts || !ends || ((descriptor & PACKETIZED) !== 0) !== packetized) throw new Error("descriptors");
  });
  return { ciphertext: join(...payloads.map((payload) => payload.subarray(1))), packetized };
}
