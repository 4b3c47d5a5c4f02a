// Detects media that bypasses its transform.
//
// Browsers have had bugs in which an attached transform was ignored. A receiver would then play whatever the server
// made up, and a sender would send its frames in the clear. Both show up in statistics: media was sent, or decoded, that
// the transform never saw. Only what is counted past the transform proves a bypass by itself: browsers count the frames of
// a video sender when they leave the encoder, before the transform sees them. Statistics are read before the worker's
// counters, so a correct browser is ahead by what is on its way to the worker: a busy device takes a while for that, and so
// what was counted some time before has to have been seen.
//
// Packets are no proof either: those of a bandwidth probe contain padding and no media. `bytesSent` counts payload without
// headers and padding (webrtc-stats, RTCSentRtpStreamStats), so only media makes it grow.

import type { TransformCounters } from "./worker/messages.ts";

/** Number of frames by which the statistics of a video stream, or of sent audio, may be ahead of the transform for long. */
const TOLERANCE_FRAMES = 10;
/** Least time in milliseconds that a frame has to reach the transform after the browser has counted it. */
const ON_THE_WAY_MS = 900;

/** Media of one m-line since its start, as the browser counts it. */
export interface MediaCount {
  readonly mid: string;
  readonly role: "seal" | "open";
  /** Bytes of media sent, or amount decoded. If there is any, the transform must have seen a frame. */
  readonly pastTransform: number;
  /** Frames sent or decoded, to compare with those that the transform saw. For sent audio, packets with padding count too. */
  readonly frames: number;
  /** Bytes of sent audio, to compare with those that left the transform; `null` for all other media. */
  readonly bytes: number | null;
  /** Number of frames by which the browser may be ahead. */
  readonly tolerance: number;
}

/** Compares what the browser counts with what its transforms have seen. */
export class Watchdog {
  /** What the browser had counted at a time that is at least as long ago as a frame may be on its way. */
  #before = new Map<string, MediaCount>();
  #latest = new Map<string, MediaCount>();
  #latestAt = Number.NEGATIVE_INFINITY;

  /**
   * Returns the m-lines on which more media passed than the transform took in (sender) or let out (receiver).
   *
   * @param now a monotonic time in milliseconds
   */
  bypassed(now: number, counts: readonly MediaCount[], counters: readonly TransformCounters[]): MediaCount[] {
    if (now - this.#latestAt >= ON_THE_WAY_MS) {
      this.#before = this.#latest;
      this.#latest = new Map(counts.map((count) => [lineOf(count), count]));
      this.#latestAt = now;
    }
    return counts.filter((count) => {
      const { mid, role, pastTransform, frames, bytes, tolerance } = count;
      const transform = counters.find((one) => one.id === mid && one.role === role);
      const seen = (role === "seal" ? transform?.framesIn : transform?.framesOut) ?? 0;
      if (seen === 0) return pastTransform > 0;
      const before = this.#before.get(lineOf(count));
      if (before === undefined) return false;
      // A stream that begins again counts from zero.
      const due = { frames: Math.min(before.frames, frames), bytes: Math.min(before.bytes ?? 0, bytes ?? 0) };
      return due.frames > seen + tolerance && (bytes === null || due.bytes > (transform?.bytesOut ?? 0));
    });
  }
}

function lineOf({ role, mid }: Pick<MediaCount, "role" | "mid">): string {
  return `${role} ${mid}`;
}

/**
 * Reads the browser's statistics. Unknown and absent members count as no media. The encodings of an m-line, which pass one
 * transform, are added up.
 */
export function countMedia(report: RTCStatsReport): MediaCount[] {
  const counts = new Map<string, MediaCount>();
  report.forEach((entry: StatsEntry) => {
    const count = countEntry(entry);
    if (count === null) return;
    const line = lineOf(count);
    const others = counts.get(line);
    counts.set(line, others === undefined ? count : sum(others, count));
  });
  return [...counts.values()];
}

function sum(one: MediaCount, other: MediaCount): MediaCount {
  return {
    ...one,
    pastTransform: one.pastTransform + other.pastTransform,
    frames: one.frames + other.frames,
    bytes: one.bytes === null || other.bytes === null ? null : one.bytes + other.bytes,
    tolerance: one.tolerance + other.tolerance,
  };
}

function countEntry({ type, kind, mid, ...entry }: StatsEntry): MediaCount | null {
  if (mid === undefined) return null;
  const { packetsSent = 0, bytesSent = 0, framesSent = 0, framesDecoded = 0, jitterBufferEmittedCount = 0 } = entry;
  const tolerance = TOLERANCE_FRAMES;
  if (type === "outbound-rtp") {
    const count = { mid, role: "seal", pastTransform: bytesSent, tolerance } as const;
    return kind === "video"
      ? { ...count, frames: framesSent, bytes: null }
      : { ...count, frames: packetsSent, bytes: bytesSent };
  }
  if (type !== "inbound-rtp") return null;
  const count = { mid, role: "open", bytes: null } as const;
  if (kind === "video") return { ...count, pastTransform: framesDecoded, frames: framesDecoded, tolerance };
  // Samples that were decoded from packets. The number of packets is unknown, since their duration varies.
  return { ...count, pastTransform: jitterBufferEmittedCount, frames: 0, tolerance: 0 };
}

interface StatsEntry {
  readonly type: string;
  readonly kind?: string;
  readonly mid?: string;
  readonly framesSent?: number;
  readonly packetsSent?: number;
  readonly bytesSent?: number;
  readonly framesDecoded?: number;
  readonly jitterBufferEmittedCount?: number;
}
