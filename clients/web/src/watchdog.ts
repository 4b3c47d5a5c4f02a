// Detects media that bypasses its transform.
//
// Browsers have had bugs in which an attached transform was ignored. A receiver would then play whatever the server
// made up, and a sender would send its frames in the clear. Both show up in statistics: packets were sent, or media was
// decoded, that the transform never saw. Only what is counted past the transform proves a bypass by itself: browsers
// count the frames of a video sender when they leave the encoder, before the transform sees them. Statistics are read
// before the worker's counters, so a correct browser is never ahead.

import type { TransformCounters } from "./worker/messages.ts";

/** Number of frames by which the statistics of a video stream, or of sent audio, may be ahead of the transform. */
const TOLERANCE_FRAMES = 10;

/** Media of one m-line since its start, as the browser counts it. */
export interface MediaCount {
  readonly mid: string;
  readonly role: "seal" | "open";
  /** Packets sent, or media decoded. If there is any, the transform must have seen a frame. */
  readonly pastTransform: number;
  /** Frames sent or decoded, to compare with those that the transform saw. */
  readonly frames: number;
  /** Number of frames by which the browser may be ahead. */
  readonly tolerance: number;
}

/** Returns the m-lines on which more media passed than the transform took in (sender) or let out (receiver). */
export function bypassed(counts: readonly MediaCount[], counters: readonly TransformCounters[]): MediaCount[] {
  return counts.filter(({ mid, role, pastTransform, frames, tolerance }) => {
    const transform = counters.find((one) => one.id === mid && one.role === role);
    const seen = (role === "seal" ? transform?.framesIn : transform?.framesOut) ?? 0;
    return seen === 0 ? pastTransform > 0 : frames > seen + tolerance;
  });
}

/** Reads the browser's statistics. Unknown and absent members count as no media. */
export function countMedia(report: RTCStatsReport): MediaCount[] {
  const counts: MediaCount[] = [];
  report.forEach((entry: StatsEntry) => {
    const count = countEntry(entry);
    if (count !== null) counts.push(count);
  });
  return counts;
}

function countEntry({ type, kind, mid, ...entry }: StatsEntry): MediaCount | null {
  if (mid === undefined) return null;
  const { packetsSent = 0, framesSent = 0, framesDecoded = 0, jitterBufferEmittedCount = 0 } = entry;
  const tolerance = TOLERANCE_FRAMES;
  if (type === "outbound-rtp") {
    const frames = kind === "video" ? framesSent : packetsSent;
    return { mid, role: "seal", pastTransform: packetsSent, frames, tolerance };
  }
  if (type !== "inbound-rtp") return null;
  if (kind === "video") return { mid, role: "open", pastTransform: framesDecoded, frames: framesDecoded, tolerance };
  // Samples that were decoded from packets. The number of packets is unknown, since their duration varies.
  return { mid, role: "open", pastTransform: jitterBufferEmittedCount, frames: 0, tolerance: 0 };
}

interface StatsEntry {
  readonly type: string;
  readonly kind?: string;
  readonly mid?: string;
  readonly framesSent?: number;
  readonly packetsSent?: number;
  readonly framesDecoded?: number;
  readonly jitterBufferEmittedCount?: number;
}
