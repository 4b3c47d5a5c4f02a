// Notices media that passes a browser without its transform.
//
// Browsers have had faults in which an attached transform was ignored. Then a receiver would play what the server
// made up, and a sender would send its frames in the clear. Both show in numbers: packets were sent, or media decoded,
// of which the transform knows nothing. Only what is counted behind the transform proves a bypass by itself: browsers
// count the frames of a video sender when they leave the encoder, before the transform has seen them. Statistics are
// read first and the worker's counters after, so that an honest browser is never ahead.

import type { TransformCounters } from "./worker/messages.ts";

/** What the browser says of one m-line, from its beginning. */
export interface Passed {
  readonly mid: string;
  readonly role: "seal" | "open";
  /** Packets sent or media decoded: more than none, and the transform must have seen a frame. */
  readonly behind: number;
  /** Frames sent or decoded, to be compared with those that the transform has seen. */
  readonly frames: number;
  /** Frames by which the browser may be ahead. */
  readonly ahead: number;
}

/** The m-lines on which more passed than the transform has seen go in (sender) or let out (receiver). */
export function bypassed(passed: readonly Passed[], counters: readonly TransformCounters[]): Passed[] {
  return passed.filter(({ mid, role, behind, frames, ahead }) => {
    const counted = counters.find((transform) => transform.id === mid && transform.role === role);
    const seen = (role === "seal" ? counted?.framesIn : counted?.framesOut) ?? 0;
    return seen === 0 ? behind > 0 : frames > seen + ahead;
  });
}

/** Reads the browser's statistics. Unknown or absent members count as nothing passed. */
export function readPassed(report: RTCStatsReport): Passed[] {
  const passed: Passed[] = [];
  report.forEach((entry: StatsEntry) => {
    const one = read(entry);
    if (one !== null) passed.push(one);
  });
  return passed;
}

function read({ type, kind, mid, ...entry }: StatsEntry): Passed | null {
  if (mid === undefined) return null;
  const { packetsSent = 0, framesSent = 0, framesDecoded = 0, jitterBufferEmittedCount = 0 } = entry;
  if (type === "outbound-rtp") {
    return { mid, role: "seal", behind: packetsSent, frames: kind === "video" ? framesSent : packetsSent, ahead: 10 };
  }
  if (type !== "inbound-rtp") return null;
  if (kind === "video") return { mid, role: "open", behind: framesDecoded, frames: framesDecoded, ahead: 10 };
  // Samples that came out of packets. How many packets they were is not known, since a packet has no fixed length.
  return { mid, role: "open", behind: jitterBufferEmittedCount, frames: 0, ahead: 0 };
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
