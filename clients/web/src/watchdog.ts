// Notices media that passes a browser without its transform.
//
// Browsers have had faults in which an attached transform was ignored. Then a receiver would play what the server
// made up, and a sender would send its frames in the clear. Both show in numbers: the browser decoded, or sent, frames
// that the transform never let through. Statistics are read first and the worker's counters after, so that an honest
// browser is never ahead.

import type { TransformCounters } from "./worker/messages.ts";

/** What the browser says of one m-line, from its beginning. */
export interface Passed {
  readonly mid: string;
  readonly role: "seal" | "open";
  /** Frames sent or decoded; for sound packets, of which there is one per frame. */
  readonly frames: number;
  /** Frames that may pass before the transform has let through any. */
  readonly unseen: number;
  /** Frames by which the browser may be ahead later; without it, the two cannot be compared. */
  readonly ahead: number;
}

/** The m-lines on which more passed than the transform let through. */
export function bypassed(passed: readonly Passed[], counters: readonly TransformCounters[]): Passed[] {
  return passed.filter(({ mid, role, frames, unseen, ahead }) => {
    const out = counters.find((transform) => transform.id === mid && transform.role === role)?.framesOut ?? 0;
    return out === 0 ? frames > unseen : frames > out + ahead;
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
  if (type === "outbound-rtp") {
    const frames = (kind === "video" ? entry.framesSent : entry.packetsSent) ?? 0;
    return { mid, role: "seal", frames, unseen: 0, ahead: 10 };
  }
  if (type !== "inbound-rtp") return null;
  if (kind === "video") return { mid, role: "open", frames: entry.framesDecoded ?? 0, unseen: 0, ahead: 10 };
  // Sound is stretched, compressed and made up between packets, so its samples tell only whether any was decoded.
  const samples = (entry.totalSamplesReceived ?? 0) - (entry.concealedSamples ?? 0);
  const frames = Math.floor(samples / SAMPLES_PER_FRAME);
  return { mid, role: "open", frames, unseen: 50, ahead: Number.POSITIVE_INFINITY };
}

/** 20 ms at 48 kHz. */
const SAMPLES_PER_FRAME = 960;

interface StatsEntry {
  readonly type: string;
  readonly kind?: string;
  readonly mid?: string;
  readonly framesSent?: number;
  readonly packetsSent?: number;
  readonly framesDecoded?: number;
  readonly totalSamplesReceived?: number;
  readonly concealedSamples?: number;
}
