// The media sources of a device, with the numbers that stand for each: the stream number in the SFrame KID and the MID
// of the m-line on which the source is sent.
//
// A stream number is `kind + 8 × index`. The index tells several sources of the same kind apart; it is always 0 here.

import { CodecNumber } from "./e2ee/abi.ts";
import type { Codec, Kind, Source } from "./protocol/generated.ts";

declare const streamNumber: unique symbol;

/** Stream number of an SFrame KID. Branded, so that it cannot be confused with a codec or a participant id. */
export type StreamNumber = number & { readonly [streamNumber]: true };

/** Sources of audio. */
export type AudioSource = Extract<Source, "microphone" | "screen-audio">;

/** Sources of video. */
export type VideoSource = Exclude<Source, AudioSource>;

interface SourceNumbers {
  readonly kind: Kind;
  readonly stream: StreamNumber;
  readonly mid: string;
}

function numbers(kind: Kind, stream: number, mid: string): SourceNumbers {
  return { kind, stream: stream as StreamNumber, mid };
}

/** Every source. */
export const SOURCES: Readonly<Record<Source, SourceNumbers>> = {
  microphone: numbers("audio", 0, "sa"),
  camera: numbers("video", 1, "sv"),
  screen: numbers("video", 2, "ss"),
  "screen-audio": numbers("audio", 3, "sx"),
};

/** Number of each codec in a frame's authenticated metadata. */
export const CODEC_NUMBER: Readonly<Record<Codec, CodecNumber>> = {
  opus: CodecNumber.Opus,
  vp8: CodecNumber.Vp8,
  vp9: CodecNumber.Vp9,
  av1: CodecNumber.Av1,
  h264: CodecNumber.H264,
};

const SOURCE_OF_STREAM = new Map<number, Source>(
  (Object.keys(SOURCES) as Source[]).map((source) => [SOURCES[source].stream, source]),
);

/** Returns the source of an authenticated stream number, or `null` if the number is unknown. */
export function sourceOfStream(stream: number): Source | null {
  return SOURCE_OF_STREAM.get(stream) ?? null;
}

/** Returns the streams of a kind of media, which are the only ones whose frames may reach a decoder of that kind. */
export function streamsOf(kind: Kind): StreamNumber[] {
  return Object.values(SOURCES).flatMap((source) => (source.kind === kind ? [source.stream] : []));
}

/** Whether a source is audio, as a type guard. */
export function isAudio(source: Source): source is AudioSource {
  return SOURCES[source].kind === "audio";
}
