// The encodings of a video track: how large, how often and at what rate the browser sends each.
//
//   camera, simulcast   q, h, f   180, 360, 720 lines, three temporal layers each
//   camera, SVC         –         one encoding with three spatial and three temporal layers
//   screen              t, f      a thumbnail of at most 360 lines; full size, in which frames go before detail
//
// Which RIDs an m-line has is settled when it is negotiated, before there is any media, and never changes. Which of them
// are used depends on the media: a small camera has no third size. `setParameters` applies both, after the negotiation,
// because Chromium ignores sizes in the description of the offer.

import type { Codec, Encoding as PublishedEncoding } from "./protocol/generated.ts";
import type { VideoSource } from "./sources.ts";

/** How an m-line carries the layers of its track. */
export type Layering =
  /** An encoding for each size, distinguished by RIDs (RFC 8853). */
  | "simulcast"
  /** One encoding with all sizes in it. */
  | "svc";

/** What one encoding is limited to. */
export interface Encoding {
  /** `null` for the only encoding of an m-line without RIDs. */
  readonly rid: string | null;
  /** Lines of its frames. */
  readonly height: number;
  /** Factor by which the media is larger, in both dimensions. */
  readonly scale: number;
  readonly kbps: number;
  readonly fps: number;
  /** Scalability mode (W3C WebRTC-SVC). */
  readonly mode: string;
}

/** What decides about the encodings of a piece of media. */
export interface VideoMedia {
  readonly width: number;
  readonly height: number;
  /** Whether motion matters more than detail; of a shared screen only. */
  readonly motion: boolean;
}

/** Sizes of a camera: the short side of the frame in lines, lowest first. */
const CAMERA_SIZES = [
  { rid: "q", lines: 180 },
  { rid: "h", lines: 360 },
  { rid: "f", lines: 720 },
] as const;
const [SMALLEST, MIDDLE, LARGEST] = CAMERA_SIZES;
/** A camera below this has two sizes: the third would hardly be larger than the second. */
const THREE_SIZES_LINES = 540;
const CAMERA_FPS = 30;

/** Rates of a camera by lines, lowest first; what lies between is interpolated. */
const CAMERA_KBPS = [
  { lines: 0, kbps: 0 },
  { lines: 180, kbps: 150 },
  { lines: 360, kbps: 500 },
  { lines: 720, kbps: 1_700 },
] as const;
/** What spatial layers cost beyond a single layer of the same size. */
const SVC_OVERHEAD = 1.4;

const THUMBNAIL = { rid: "t", lines: 360, kbps: 150, fps: 5 } as const;
const FULL_SCREEN = { rid: "f", kbps: 2_500, fps: 15, motionFps: 30 } as const;

const TEMPORAL_LAYERS = "L1T3";
const ONE_LAYER = "L1T1";
/** Spatial layers that depend on each other in key frames only, so that a receiver's layer contains no more than it needs. */
export const SPATIAL_LAYERS = "L3T3_KEY";

/** Codecs whose encoders have spatial layers. */
export const SVC_CODECS: ReadonlySet<Codec> = new Set(["vp9", "av1"]);

/** Returns how a source is sent. A shared screen has two sizes that lie too far apart for spatial layers. */
export function layering(source: VideoSource, codec: Codec, browserHasSvc: boolean): Layering {
  return source === "camera" && SVC_CODECS.has(codec) && browserHasSvc ? "svc" : "simulcast";
}

/** Returns the RIDs of an m-line, lowest quality first. At least two: with one, Firefox sends no Dependency Descriptor. */
export function ridsOf(source: VideoSource, layering: Layering): readonly string[] {
  if (layering === "svc") return [];
  return source === "camera" ? CAMERA_SIZES.map(({ rid }) => rid) : [THUMBNAIL.rid, FULL_SCREEN.rid];
}

/** Returns the encodings that are used for this media, lowest quality first. */
export function encodingsOf(source: VideoSource, layering: Layering, media: VideoMedia): readonly Encoding[] {
  if (source === "screen") return screenEncodings(media);
  return layering === "svc" ? [svcEncoding(media)] : simulcastEncodings(media);
}

function simulcastEncodings(media: VideoMedia): Encoding[] {
  return cameraSizes(shortSide(media)).map(({ rid, lines }) => ({
    ...scaled(media, lines),
    rid,
    kbps: cameraKbps(lines),
    fps: CAMERA_FPS,
    mode: TEMPORAL_LAYERS,
  }));
}

/** Returns the RIDs of a camera, with the lines of the short side. */
function cameraSizes(lines: number): { rid: string; lines: number }[] {
  if (lines >= THREE_SIZES_LINES) {
    return [SMALLEST, MIDDLE, { rid: LARGEST.rid, lines: Math.min(lines, LARGEST.lines) }];
  }
  const smallest = lines >= MIDDLE.lines ? SMALLEST.lines : lines / 2;
  return [
    { rid: SMALLEST.rid, lines: smallest },
    { rid: MIDDLE.rid, lines },
  ];
}

function svcEncoding(media: VideoMedia): Encoding {
  const lines = Math.min(shortSide(media), LARGEST.lines);
  const kbps = Math.round(cameraKbps(lines) * SVC_OVERHEAD);
  return { ...scaled(media, lines), rid: null, kbps, fps: CAMERA_FPS, mode: SPATIAL_LAYERS };
}

function screenEncodings(media: VideoMedia): Encoding[] {
  const { rid, kbps, fps, motionFps } = FULL_SCREEN;
  const thumbnail = scaled(media, Math.min(shortSide(media), THUMBNAIL.lines));
  return [
    { ...thumbnail, rid: THUMBNAIL.rid, kbps: THUMBNAIL.kbps, fps: THUMBNAIL.fps, mode: ONE_LAYER },
    { height: media.height, scale: 1, rid, kbps, fps: media.motion ? motionFps : fps, mode: TEMPORAL_LAYERS },
  ];
}

function shortSide({ width, height }: VideoMedia): number {
  return Math.min(width, height);
}

/** Returns height and factor at which the short side has this many lines. */
function scaled(media: VideoMedia, lines: number): Pick<Encoding, "height" | "scale"> {
  const scale = Math.max(1, shortSide(media) / lines);
  return { height: Math.round(media.height / scale), scale };
}

function cameraKbps(lines: number): number {
  for (const [index, above] of CAMERA_KBPS.entries()) {
    const below = CAMERA_KBPS[index - 1];
    if (below === undefined || lines > above.lines) continue;
    const part = (lines - below.lines) / (above.lines - below.lines);
    return Math.round(below.kbps + part * (above.kbps - below.kbps));
  }
  return CAMERA_KBPS[CAMERA_KBPS.length - 1]?.kbps ?? 0;
}

/** Returns what `publish` says of encodings. The server learns the SSRCs of RIDs from their packets. */
export function published(encodings: readonly Encoding[]): PublishedEncoding[] {
  return encodings.map(({ rid, height, kbps }) => (rid === null ? { height, kbps } : { rid, height, kbps }));
}

/** An encoding in the parameters of a sender. */
type Parameters = RTCRtpEncodingParameters & { scalabilityMode?: string };

/**
 * Writes limits into the parameters of a sender. RIDs that are not among the encodings send nothing.
 *
 * Each one gets a frame rate: Chromium limits an encoding without one to the lowest of the others.
 *
 * @param active by encoding, whether it is wanted
 * @param modes whether to set scalability modes, which browsers refuse if their encoder lacks them
 */
export function write(
  parameters: RTCRtpSendParameters,
  encodings: readonly Encoding[],
  active: readonly boolean[],
  modes: boolean,
): void {
  for (const target of parameters.encodings as Parameters[]) {
    const index = encodings.findIndex(({ rid }) => rid === null || rid === target.rid);
    const encoding = encodings[index];
    target.active = encoding !== undefined && (active[index] ?? true);
    target.maxFramerate = encoding?.fps ?? CAMERA_FPS;
    if (encoding === undefined) continue;
    target.scaleResolutionDownBy = encoding.scale;
    target.maxBitrate = encoding.kbps * 1_000;
    if (modes) target.scalabilityMode = encoding.mode;
  }
}
