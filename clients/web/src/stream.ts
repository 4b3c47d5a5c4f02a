// Streams: what a frame belongs to, as the SFrame KID names it. `stream = kind + 8 × index`; the index is for a second
// camera and is 0 here.

import type { Codec, Kind, Source } from "./protocol/generated.ts";

/** Number of a source's stream. */
export const STREAM_OF_SOURCE: Readonly<Record<Source, number>> = { mic: 0, cam: 1, screen: 2, "screen-audio": 3 };

/** MID of the m-line on which a source is published. */
export const MID_OF_SOURCE: Readonly<Record<Source, string>> = {
  mic: "sa",
  cam: "sv",
  screen: "ss",
  "screen-audio": "sx",
};

/** Number of a codec in the frame's metadata. */
export const CODEC_NUMBER: Readonly<Record<Codec, number>> = { opus: 0, vp8: 1, vp9: 2, av1: 3, h264: 4 };

const SOURCES: readonly Source[] = ["mic", "cam", "screen", "screen-audio"];

/** The source of an authenticated stream number; `null` if it is none of the known. */
export function sourceOfStream(stream: number): Source | null {
  return stream < 8 ? (SOURCES[stream] ?? null) : null;
}

/** Sound or picture. */
export function kindOfSource(source: Source): Kind {
  return source === "mic" || source === "screen-audio" ? "audio" : "video";
}
