import { describe, expect, it } from "vitest";
import { countMedia, Watchdog } from "../src/watchdog.ts";
import type { TransformCounters } from "../src/worker/messages.ts";

function transform(
  id: string,
  role: "seal" | "open",
  framesOut: number,
  bytesOut = 100 * framesOut,
): TransformCounters {
  return { id, role, framesIn: framesOut, framesEmpty: 0, framesOut, bytesOut, failures: {} };
}
function reportOf(stats: object[]): RTCStatsReport {
  return new Map(stats.map((entry, index) => [`${index}`, entry])) as RTCStatsReport;
}

/** Returns what is found when everything has had the time to reach its transform. */
function mids(stats: object[], counters: TransformCounters[]): string[] {
  const [watchdog, counts] = [new Watchdog(), countMedia(reportOf(stats))];
  const readings = [0, 1_000, 2_000].map((now) => watchdog.bypassed(now, counts, counters));
  return (readings.at(-1) ?? []).map(({ mid }) => mid);
}

describe("bypassed", () => {
  it("is empty while the browser is not ahead of the worker", () => {
    const stats = [
      { type: "outbound-rtp", kind: "audio", mid: "sa", packetsSent: 100, bytesSent: 10_000 },
      { type: "outbound-rtp", kind: "video", mid: "sv", framesSent: 50, packetsSent: 400, bytesSent: 300_000 },
      { type: "inbound-rtp", kind: "video", mid: "v2", framesDecoded: 70 },
      { type: "inbound-rtp", kind: "audio", mid: "a2", jitterBufferEmittedCount: 960_000 },
      { type: "transport" },
    ];
    const counters = [
      transform("sa", "seal", 101),
      transform("sv", "seal", 50),
      transform("v2", "open", 69),
      transform("a2", "open", 900),
    ];
    expect(mids(stats, counters)).toEqual([]);
  });

  it("contains an m-line whose first frame was sent or decoded without the worker", () => {
    const stats = [
      { type: "outbound-rtp", kind: "audio", mid: "sa", packetsSent: 1, bytesSent: 80 },
      { type: "outbound-rtp", kind: "video", mid: "sv", framesSent: 1, packetsSent: 4, bytesSent: 4_000 },
      { type: "inbound-rtp", kind: "video", mid: "v2", framesDecoded: 1 },
    ];
    expect(mids(stats, [transform("sa", "seal", 0), transform("v2", "open", 0)])).toEqual(["sa", "sv", "v2"]);
  });

  it("contains an m-line whose transform is no longer called", () => {
    const stats = [{ type: "outbound-rtp", kind: "audio", mid: "sa", packetsSent: 500, bytesSent: 49_000 }];
    expect(mids(stats, [transform("sa", "seal", 450)])).toEqual(["sa"]);
  });

  it("contains audio that was decoded without the worker, but not concealed audio", () => {
    const audio = { type: "inbound-rtp", kind: "audio", mid: "a2", totalSamplesReceived: 144_000 };
    expect(mids([{ ...audio, jitterBufferEmittedCount: 960 }], [transform("a2", "open", 0)])).toEqual(["a2"]);
    expect(mids([{ ...audio, jitterBufferEmittedCount: 0 }], [transform("a2", "open", 0)])).toEqual([]);
  });

  it("does not count a frame that left the encoder as sent", () => {
    const stats = [{ type: "outbound-rtp", kind: "video", mid: "sv", framesSent: 1, packetsSent: 0, bytesSent: 0 }];
    expect(mids(stats, [transform("sv", "seal", 0)])).toEqual([]);
  });

  it("does not count frames that the worker could not seal", () => {
    const stats = [
      { type: "outbound-rtp", kind: "video", mid: "sv", framesSent: 50, packetsSent: 80, bytesSent: 60_000 },
    ];
    expect(mids(stats, [{ ...transform("sv", "seal", 20), framesIn: 50 }])).toEqual([]);
  });

  it("does not take a bandwidth probe for media", () => {
    // As Chromium counts the first probe of a shared screen while the camera is off.
    const probe = { packetsSent: 1, framesSent: 0, bytesSent: 0, headerBytesSent: 279 };
    expect(mids([{ type: "outbound-rtp", kind: "video", mid: "ss", ...probe }], [])).toEqual([]);
    expect(mids([{ type: "outbound-rtp", kind: "video", mid: "ss", ...probe }], [transform("ss", "seal", 0)])).toEqual(
      [],
    );
    // Probes on an audio stream are packets, and no bytes of media.
    const audio = { type: "outbound-rtp", kind: "audio", mid: "sa", packetsSent: 900, bytesSent: 70_000 };
    expect(mids([audio], [transform("sa", "seal", 700)])).toEqual([]);
  });

  it("contains a shared screen that is sent without the worker, with or without probes", () => {
    const frame = { packetsSent: 41, framesSent: 1, bytesSent: 38_000, headerBytesSent: 900 };
    expect(mids([{ type: "outbound-rtp", kind: "video", mid: "ss", ...frame }], [])).toEqual(["ss"]);
  });

  it("counts the encodings of a track together, which pass one transform", () => {
    const encoding = (rid: string, framesSent: number) => ({
      type: "outbound-rtp",
      kind: "video",
      mid: "sv",
      rid,
      framesSent,
      bytesSent: 100 * framesSent,
    });
    const stats = [encoding("q", 50), encoding("h", 50), encoding("f", 45)];
    expect(mids(stats, [transform("sv", "seal", 150)])).toEqual([]);
    expect(mids(stats, [transform("sv", "seal", 100)])).toEqual(["sv"]);
  });

  it("waits for frames that are on their way to a busy worker, and for no others", () => {
    const watchdog = new Watchdog();
    const at = (second: number, framesSent: number, seen: number): number => {
      const stats = [{ type: "outbound-rtp", kind: "video", mid: "sv", framesSent, bytesSent: 100 * framesSent }];
      return watchdog.bypassed(1_000 * second, countMedia(reportOf(stats)), [transform("sv", "seal", seen)]).length;
    };
    // Ninety frames a second, of which half a second is on its way.
    expect([at(1, 90, 45), at(2, 180, 135), at(2.1, 189, 135), at(3, 270, 225)]).toEqual([0, 0, 0, 0]);
    // The worker sees no more of them.
    expect([at(4, 360, 225), at(5, 450, 225)]).toEqual([1, 1]);
    // Another stream begins.
    expect([at(6, 20, 225), at(7, 110, 225)]).toEqual([0, 0]);
  });

  it("finds media of which the worker saw nothing at once", () => {
    const stats = [{ type: "inbound-rtp", kind: "video", mid: "v2", framesDecoded: 1 }];
    const found = new Watchdog().bypassed(0, countMedia(reportOf(stats)), []);
    expect(found.map(({ mid }) => mid)).toEqual(["v2"]);
  });

  it("does not take the silence that is not sent for a bypass", () => {
    const stats = [{ type: "outbound-rtp", kind: "audio", mid: "sa", packetsSent: 44, bytesSent: 1_200 }];
    const silent = { ...transform("sa", "seal", 44), framesIn: 350, framesEmpty: 306, bytesOut: 1_200 };
    expect(mids(stats, [silent])).toEqual([]);
  });
});
