// Profile C: constant envelopes that look like the codec's frames, and the metadata that authenticates codec and kind.

import { type Bytes, equal, fromHex, join } from "./bytes.ts";

export const CODECS = ["opus", "vp8", "vp9", "av1", "h264"] as const;
export type CodecName = (typeof CODECS)[number];

const VP8 = { key: fromHex("1000009d012a4001b400"), delta: fromHex("11") };
const AV1_SEQUENCE = fromHex("0a0b000000043cffbcfbf98040");
const H264 = {
  key: fromHex("000000016742c01f8c8d40501ed00f08846a0000000168ce3c8000000001658884"),
  delta: fromHex("00000001419a84"),
};
const NOTHING = new Uint8Array(0);

/** Whether the envelope of this frame marks it as a key frame. */
export function shows(codec: CodecName, key: boolean): boolean {
  return key && codec !== "opus" && codec !== "vp9";
}

export function metadata(codec: CodecName, key: boolean): Bytes {
  return Uint8Array.of(0xc1, CODECS.indexOf(codec), shows(codec, key) ? 1 : 0);
}

function leb128(value: number): Bytes {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

/** Puts a 3 before every byte of 0..=3 that follows two zeros (ITU-T H.264 7.4.1). */
function escaped(content: Uint8Array): Bytes {
  const written: number[] = [];
  let zeros = 0;
  for (const byte of content) {
    if (zeros === 2 && byte <= 3) {
      written.push(3);
      zeros = 0;
    }
    written.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return Uint8Array.from(written);
}

function unescaped(content: Uint8Array): Bytes {
  const kept: number[] = [];
  let zeros = 0;
  for (const byte of content) {
    if (zeros === 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    kept.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return Uint8Array.from(kept);
}

export function wrap(codec: CodecName, key: boolean, content: Bytes): Bytes {
  switch (codec) {
    case "opus":
    case "vp9":
      return content;
    case "vp8":
      return join(key ? VP8.key : VP8.delta, content);
    case "av1":
      return join(key ? AV1_SEQUENCE : NOTHING, Uint8Array.of(0x32), leb128(content.length), content);
    case "h264":
      return join(key ? H264.key : H264.delta, escaped(content), Uint8Array.of(0x80));
  }
}

/** Returns the content of an envelope. @throws if the frame is not an envelope of this codec */
export function unwrap(codec: CodecName, frame: Uint8Array): { key: boolean; content: Bytes } {
  const behind = (prefix: Bytes): Bytes | null =>
    equal(frame.subarray(0, prefix.length), prefix) ? (frame.slice(prefix.length) as Bytes) : null;
  for (const key of [true, false]) {
    let content: Bytes | null;
    switch (codec) {
      case "opus":
      case "vp9":
        return { key: false, content: new Uint8Array(frame) };
      case "vp8":
        content = behind(key ? VP8.key : VP8.delta);
        break;
      case "av1": {
        const rest = behind(join(key ? AV1_SEQUENCE : NOTHING, Uint8Array.of(0x32)));
        const size = rest === null ? 0 : rest.findIndex((byte) => byte < 128) + 1;
        content = rest?.slice(size) ?? null;
        if (rest !== null && !equal(rest.slice(0, size), leb128(rest.length - size))) content = null;
        break;
      }
      case "h264": {
        const rest = behind(key ? H264.key : H264.delta);
        content = rest?.at(-1) === 0x80 ? unescaped(rest.slice(0, -1)) : null;
        break;
      }
    }
    if (content !== null) return { key, content };
  }
  throw new Error("not in its envelope");
}
