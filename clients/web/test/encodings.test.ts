import { describe, expect, it } from "vitest";
import { encodingsOf, layering, published, ridsOf, type VideoMedia, write } from "../src/encodings.ts";

const media = (width: number, height: number, motion = false): VideoMedia => ({ width, height, motion });
const sizes = (width: number, height: number): [string | null, number, number][] =>
  encodingsOf("camera", "simulcast", media(width, height)).map(({ rid, height, kbps }) => [rid, height, kbps]);

describe("layering", () => {
  it("is SVC for a camera alone, if codec and browser have it", () => {
    expect(layering("camera", "vp9", true)).toBe("svc");
    expect(layering("camera", "av1", true)).toBe("svc");
    expect(layering("camera", "vp9", false)).toBe("simulcast");
    expect(layering("camera", "vp8", true)).toBe("simulcast");
    expect(layering("screen", "av1", true)).toBe("simulcast");
  });

  it("has at least two RIDs where it has any", () => {
    expect(ridsOf("camera", "simulcast")).toEqual(["q", "h", "f"]);
    expect(ridsOf("screen", "simulcast")).toEqual(["t", "f"]);
    expect(ridsOf("camera", "svc")).toEqual([]);
  });
});

describe("encodingsOf", () => {
  it("sends a camera in three sizes", () => {
    const expected = [
      ["q", 180, 150],
      ["h", 360, 500],
      ["f", 720, 1_700],
    ];
    expect(sizes(1_280, 720)).toEqual(expected);
    // A larger one is scaled down: no tile of a call needs more.
    expect(sizes(1_920, 1_080)).toEqual(expected);
  });

  it("sends a small camera in two sizes", () => {
    expect(sizes(320, 240)).toEqual([
      ["q", 120, 100],
      ["h", 240, 267],
    ]);
    expect(sizes(640, 360)).toEqual([
      ["q", 180, 150],
      ["h", 360, 500],
    ]);
    expect(sizes(640, 480).map(([rid, height]) => [rid, height])).toEqual([
      ["q", 180],
      ["h", 480],
    ]);
  });

  it("sends an upright camera in the same sizes, turned", () => {
    expect(sizes(720, 1_280)).toEqual([
      ["q", 320, 150],
      ["h", 640, 500],
      ["f", 1_280, 1_700],
    ]);
  });

  it("puts all sizes of a camera into one encoding of SVC", () => {
    expect(encodingsOf("camera", "svc", media(1_920, 1_080))).toEqual([
      { rid: null, height: 720, scale: 1.5, kbps: 2_380, fps: 30, mode: "L3T3_KEY" },
    ]);
  });

  it("keeps a screen as sharp as it is, with a thumbnail beside it", () => {
    const thumbnail = { rid: "t", height: 360, scale: 4, kbps: 150, fps: 5, mode: "L1T1" };
    const full = { rid: "f", height: 1_440, scale: 1, kbps: 2_500, fps: 15, mode: "L1T3" };
    expect(encodingsOf("screen", "simulcast", media(2_560, 1_440))).toEqual([thumbnail, full]);
    const video = encodingsOf("screen", "simulcast", media(2_560, 1_440, true));
    expect(video).toEqual([thumbnail, { ...full, fps: 30 }]);
    expect(encodingsOf("screen", "simulcast", media(400, 300))).toMatchObject([{ scale: 1 }, { scale: 1 }]);
  });

  it("never enlarges, and grows from one encoding to the next, whatever the camera", () => {
    for (let lines = 90; lines <= 2_160; lines += 30) {
      const encodings = encodingsOf("camera", "simulcast", media(Math.round((lines * 16) / 9), lines));
      expect(encodings.every(({ scale }) => scale >= 1)).toBe(true);
      for (const [index, { height, kbps }] of encodings.entries()) {
        expect(height, `${lines}`).toBeGreaterThan(encodings[index - 1]?.height ?? 0);
        expect(kbps, `${lines}`).toBeGreaterThan(encodings[index - 1]?.kbps ?? 0);
      }
    }
  });
});

it("published names RIDs, heights and rates, and no SSRC", () => {
  expect(published(encodingsOf("camera", "simulcast", media(640, 360)))).toEqual([
    { rid: "q", height: 180, kbps: 150 },
    { rid: "h", height: 360, kbps: 500 },
  ]);
  expect(published(encodingsOf("camera", "svc", media(1_280, 720)))).toEqual([{ height: 720, kbps: 2_380 }]);
});

describe("write", () => {
  function parameters(...rids: string[]): RTCRtpSendParameters {
    const encodings = rids.map((rid) => ({ rid }));
    return { encodings, transactionId: "", codecs: [], headerExtensions: [], rtcp: {} };
  }

  it("sets all limits of every encoding", () => {
    const target = parameters("q", "h", "f");
    write(target, encodingsOf("camera", "simulcast", media(1_280, 720)), [], true);
    const common = { active: true, maxFramerate: 30, scalabilityMode: "L1T3" };
    expect(target.encodings).toEqual([
      { ...common, rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
      { ...common, rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
      { ...common, rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
    ]);
  });

  it("sends neither what no one receives nor what the media has not, and limits the frame rate of both all the same", () => {
    const target = parameters("q", "h", "f");
    write(target, encodingsOf("camera", "simulcast", media(320, 240)), [true, false], false);
    expect(target.encodings.map(({ active, maxFramerate }) => [active, maxFramerate])).toEqual([
      [true, 30],
      [false, 30],
      [false, 30],
    ]);
    expect(target.encodings.every((encoding) => !("scalabilityMode" in encoding))).toBe(true);
  });
});
