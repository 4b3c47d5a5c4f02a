import { beforeEach, describe, expect, it } from "vitest";
import type { FrameEngine, OpenedFrame } from "../src/worker/engine.ts";
import { type EncodedFrame, HOLD_FRAMES, HOLD_MS, Opener, Sealer } from "../src/worker/pipeline.ts";

const MISSING = -1;

/** An engine that "seals" by appending a byte, and opens what ends in the number of a sender whose key it has. */
class FakeEngine implements FrameEngine {
  sealFailure: number | null = null;
  readonly keys = new Set<number>();
  readonly calls: unknown[] = [];

  event(): boolean {
    return true;
  }
  poll(): Uint8Array | null {
    return null;
  }
  deadline(): number | null {
    return null;
  }
  seal(now: number, stream: number, codec: number, key: boolean, frame: ArrayBuffer): ArrayBuffer | number {
    this.calls.push({ now, stream, codec, key });
    return this.sealFailure ?? new Uint8Array([...new Uint8Array(frame), 0xff]).buffer;
  }
  open(_now: number, _codec: number, frame: ArrayBuffer): OpenedFrame | number {
    const bytes = new Uint8Array(frame);
    const sender = bytes.at(-1) ?? 0;
    if (sender === 0xee) return -2;
    if (!this.keys.has(sender)) return MISSING;
    return { data: bytes.slice(0, -1).buffer, participant: sender, stream: 1 };
  }
}

function frame(...bytes: number[]): EncodedFrame {
  return { data: new Uint8Array(bytes).buffer, type: "delta" };
}

let engine: FakeEngine;
beforeEach(() => {
  engine = new FakeEngine();
});

describe("a sealer", () => {
  it("seals in place, telling the stream, the codec and whether it is a key frame", () => {
    const sealer = new Sealer(engine, "sv", "vp8", 1);
    const video: EncodedFrame = { data: new Uint8Array([1, 2]).buffer, type: "key" };
    expect(sealer.push(video, 7)).toBe(true);
    expect(new Uint8Array(video.data)).toEqual(new Uint8Array([1, 2, 0xff]));
    expect(engine.calls).toEqual([{ now: 7, stream: 1, codec: 1, key: true }]);
    expect(sealer.counters).toMatchObject({ framesIn: 1, framesOut: 1, failures: {} });
  });

  it("drops a frame that it cannot seal, for whatever reason, and counts it", () => {
    const sealer = new Sealer(engine, "sa", "opus", 0);
    for (const failure of [-1, -2, -3, -4, -5, -99]) {
      engine.sealFailure = failure;
      expect(sealer.push(frame(1), 0)).toBe(false);
    }
    expect(sealer.counters).toMatchObject({ framesIn: 6, framesOut: 0 });
    expect(sealer.counters.failures).toEqual({
      "no-key": 1,
      "stream-closed": 1,
      buffer: 1,
      unsupported: 1,
      exhausted: 1,
      unknown: 1,
    });
  });
});

describe("an opener", () => {
  let passed: number[];
  let log: string[];
  let opener: Opener;
  beforeEach(() => {
    passed = [];
    log = [];
    opener = new Opener(engine, "v3", "vp8", {
      frame: ({ data }) => void passed.push(new Uint8Array(data)[0] ?? -1),
      attributed: (participant, stream) => void log.push(`p${participant} s${stream}`),
      needsKeyFrame: () => void log.push("key frame"),
    });
  });

  it("passes what it opens, and says once whose it is", () => {
    engine.keys.add(5).add(6);
    for (const [index, sender] of [5, 5, 6, 6, 5].entries()) opener.push(frame(index, sender), index);
    expect(passed).toEqual([0, 1, 2, 3, 4]);
    expect(log).toEqual(["p5 s1", "p6 s1", "p5 s1"]);
  });

  it("never passes what is not authentic", () => {
    opener.push(frame(1, 0xee), 0);
    opener.push(frame(), 0);
    expect(passed).toEqual([]);
    expect(opener.counters.failures).toEqual({ "not-authentic": 1 });
  });

  it("holds frames until their key arrives, and passes them in order", () => {
    for (let i = 0; i < 3; i += 1) opener.push(frame(i, 5), i * 10);
    expect(passed).toEqual([]);
    engine.keys.add(5);
    opener.retry(100);
    expect(passed).toEqual([0, 1, 2]);
    expect(log).toEqual(["p5 s1"]);
    expect(opener.counters.failures).toEqual({});
  });

  it("drops what it held too long, and then asks for a key frame", () => {
    opener.push(frame(0, 5), 0);
    opener.push(frame(1, 5), HOLD_MS);
    engine.keys.add(5);
    opener.retry(HOLD_MS + 1);
    expect(passed).toEqual([1]);
    expect(log).toEqual(["p5 s1", "key frame"]);
    expect(opener.counters.failures).toEqual({ "missing-key": 1 });
  });

  it("holds a bounded number of frames, the latest", () => {
    for (let i = 0; i < HOLD_FRAMES + 10; i += 1) opener.push(frame(i, 5), 0);
    engine.keys.add(5);
    opener.retry(0);
    expect(passed).toHaveLength(HOLD_FRAMES);
    expect(passed[0]).toBe(10);
    expect(opener.counters.failures).toEqual({ "missing-key": 10 });
  });

  it("gives up on held frames when a later one opens", () => {
    opener.push(frame(0, 5), 0);
    engine.keys.add(6);
    opener.push(frame(1, 6), 1);
    expect(passed).toEqual([1]);
    expect(log).toEqual(["p6 s1", "key frame"]);
    engine.keys.add(5);
    opener.retry(2);
    expect(passed).toEqual([1]);
  });

  it("keeps holding what another key than the one that arrived would open", () => {
    opener.push(frame(0, 5), 0);
    opener.push(frame(1, 6), 0);
    engine.keys.add(5);
    opener.retry(1);
    expect(passed).toEqual([0]);
    engine.keys.add(6);
    opener.retry(2);
    expect(passed).toEqual([0, 1]);
    expect(opener.counters.failures).toEqual({});
  });
});
