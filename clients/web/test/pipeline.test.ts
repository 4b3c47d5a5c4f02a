import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Clock } from "../src/e2ee/wasm.ts";
import { SOURCES, streamsOf } from "../src/sources.ts";
import type { FrameEngine, OpenedFrame, Soon } from "../src/worker/engine.ts";
import { type EncodedFrame, HOLD_FRAMES, HOLD_MS, Opener, Sealer } from "../src/worker/pipeline.ts";

const MISSING = -1;

function at(now: number): Clock {
  return { now, wall: now };
}

/** Seals by appending a byte, and opens frames that end in the number of a sender whose key it has. */
class FakeEngine implements FrameEngine {
  /** Stream of the frames that it opens. */
  stream = 1;
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
  seal({ now }: Clock, stream: number, codec: number, key: boolean, frame: ArrayBuffer): ArrayBuffer | number {
    this.calls.push({ now, stream, codec, key });
    return this.sealFailure ?? new Uint8Array([...new Uint8Array(frame), 0xff]).buffer;
  }
  open(_clock: Clock, _codec: number, frame: ArrayBuffer): Soon<OpenedFrame | number> {
    const bytes = new Uint8Array(frame);
    const sender = bytes.at(-1) ?? 0;
    if (sender === 0xee) return -2;
    if (!this.keys.has(sender)) return MISSING;
    return { data: bytes.slice(0, -1).buffer, participant: sender, stream: this.stream };
  }
}

function frame(...bytes: number[]): EncodedFrame {
  return { data: new Uint8Array(bytes).buffer, type: "delta" };
}

let engine: FakeEngine;
beforeEach(() => {
  engine = new FakeEngine();
});

describe("Sealer", () => {
  it("seals in place, with the stream, the codec and the kind of frame", async () => {
    const sealer = new Sealer(engine, "sv", "vp8", SOURCES.camera.stream);
    const video: EncodedFrame = { data: new Uint8Array([1, 2]).buffer, type: "key" };
    expect(await sealer.push(video, at(7))).toBe(true);
    expect(new Uint8Array(video.data)).toEqual(new Uint8Array([1, 2, 0xff]));
    expect(engine.calls).toEqual([{ now: 7, stream: 1, codec: 1, key: true }]);
    expect(sealer.counters).toMatchObject({ framesIn: 1, framesOut: 1, failures: {} });
  });

  it("drops a frame that it cannot seal, and counts it by reason", async () => {
    const sealer = new Sealer(engine, "sa", "opus", SOURCES.microphone.stream);
    for (const failure of [-1, -2, -3, -4, -5, -99]) {
      engine.sealFailure = failure;
      expect(await sealer.push(frame(1), at(0))).toBe(false);
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

describe("silence", () => {
  it("is neither sealed nor sent, and counted", async () => {
    const sealer = new Sealer(engine, "sa", "opus", SOURCES.microphone.stream);
    expect(await sealer.push({ data: new ArrayBuffer(0) }, at(0))).toBe(false);
    expect(await sealer.push({ data: new Uint8Array([7]).buffer }, at(20))).toBe(true);
    expect(engine.calls).toHaveLength(1);
    expect(sealer.counters).toMatchObject({ framesIn: 2, framesEmpty: 1, framesOut: 1, failures: {} });
  });

  it("is no empty frame of video, which is sealed like any other", async () => {
    const sealer = new Sealer(engine, "sv", "vp8", SOURCES.camera.stream);
    expect(await sealer.push({ data: new ArrayBuffer(0), type: "delta" }, at(0))).toBe(true);
    expect(sealer.counters).toMatchObject({ framesEmpty: 0, framesOut: 1 });
  });
});

describe("Opener", () => {
  let passed: number[];
  let log: string[];
  let opener: Opener;
  beforeEach(() => {
    passed = [];
    log = [];
    opener = new Opener(engine, "v3", "vp8", streamsOf("video"), {
      frame: ({ data }) => void passed.push(new Uint8Array(data)[0] ?? -1),
      authenticated: ({ participant, stream }) => void log.push(`p${participant} s${stream}`),
      needsKeyFrame: () => void log.push("key frame"),
    });
  });

  it("passes opened frames on, and reports their origin once", async () => {
    engine.keys.add(5).add(6);
    for (const [index, sender] of [5, 5, 6, 6, 5].entries()) await opener.push(frame(index, sender), at(index));
    expect(passed).toEqual([0, 1, 2, 3, 4]);
    expect(log).toEqual(["p5 s1", "p6 s1", "p5 s1"]);
  });

  it.each([9, 4, 65_535, SOURCES.microphone.stream])("drops frames of stream %d, which is no video", async (stream) => {
    engine.keys.add(5);
    await opener.push(frame(6, 5), at(0));
    engine.stream = stream;
    await opener.push(frame(7, 5), at(0));
    engine.stream = SOURCES.camera.stream;
    await opener.push(frame(8, 5), at(0));
    expect(passed).toEqual([6, 8]);
    // The page learns of each change of the origin, and shows nothing meanwhile.
    expect(log).toEqual(["p5 s1", `p5 s${stream}`, "p5 s1"]);
    expect(opener.counters.failures).toEqual({ "unexpected-stream": 1 });
  });

  it("never passes on a frame that is not authentic", async () => {
    await opener.push(frame(1, 0xee), at(0));
    await opener.push(frame(), at(0));
    expect(passed).toEqual([]);
    expect(opener.counters.failures).toEqual({ "not-authentic": 1 });
  });

  it("holds frames until their key arrives, and passes them on in order", async () => {
    for (let i = 0; i < 3; i += 1) await opener.push(frame(i, 5), at(i * 10));
    expect(passed).toEqual([]);
    engine.keys.add(5);
    await opener.retry(at(100));
    expect(passed).toEqual([0, 1, 2]);
    expect(log).toEqual(["p5 s1"]);
    expect(opener.counters.failures).toEqual({});
  });

  it("drops frames that it held too long, and then requests a key frame", async () => {
    await opener.push(frame(0, 5), at(0));
    await opener.push(frame(1, 5), at(HOLD_MS));
    engine.keys.add(5);
    await opener.retry(at(HOLD_MS + 1));
    expect(passed).toEqual([1]);
    expect(log).toEqual(["p5 s1", "key frame"]);
    expect(opener.counters.failures).toEqual({ "missing-key": 1 });
  });

  it("holds a bounded number of frames, dropping the oldest", async () => {
    for (let i = 0; i < HOLD_FRAMES + 10; i += 1) await opener.push(frame(i, 5), at(0));
    engine.keys.add(5);
    await opener.retry(at(0));
    expect(passed).toHaveLength(HOLD_FRAMES);
    expect(passed[0]).toBe(10);
    expect(opener.counters.failures).toEqual({ "missing-key": 10 });
  });

  it("drops held frames when a later one opens", async () => {
    await opener.push(frame(0, 5), at(0));
    engine.keys.add(6);
    await opener.push(frame(1, 6), at(1));
    expect(passed).toEqual([1]);
    expect(log).toEqual(["p6 s1", "key frame"]);
    engine.keys.add(5);
    await opener.retry(at(2));
    expect(passed).toEqual([1]);
  });

  it("keeps holding frames whose key is still missing", async () => {
    await opener.push(frame(0, 5), at(0));
    await opener.push(frame(1, 6), at(0));
    engine.keys.add(5);
    await opener.retry(at(1));
    expect(passed).toEqual([0]);
    engine.keys.add(6);
    await opener.retry(at(2));
    expect(passed).toEqual([0, 1]);
    expect(opener.counters.failures).toEqual({});
  });

  it("keeps the order of frames that are opened asynchronously", async () => {
    engine.keys.add(6);
    const waiting: (() => void)[] = [];
    const open = engine.open.bind(engine);
    vi.spyOn(engine, "open").mockImplementation(async (...frame) => {
      await new Promise<void>((resolve) => void waiting.push(resolve));
      return open(...frame);
    });
    const held = opener.push(frame(0, 5), at(0));
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    waiting.shift()?.();
    await held;

    engine.keys.add(5);
    const work = [
      opener.retry(at(1)),
      opener.push(frame(1, 5), at(1)),
      opener.retry(at(1)),
      opener.push(frame(2, 6), at(1)),
    ];
    for (let done = 0; done < 3; done += 1) {
      // One at a time: the next begins when this one has ended.
      await vi.waitFor(() => expect(waiting).toHaveLength(1));
      expect(passed).toHaveLength(done);
      waiting.shift()?.();
    }
    await Promise.all(work);
    expect(passed).toEqual([0, 1, 2]);
    expect(opener.counters).toMatchObject({ framesIn: 3, framesOut: 3 });
    expect(opener.counters.failures).toEqual({});
  });
});
