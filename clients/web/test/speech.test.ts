import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SpeechDetector, SpeechWatch } from "../src/speech.ts";

const LOUD = 0.1;
/** Below where speech begins, above where it ends. */
const SOFT = 0.003;

/** Feeds a level for some time, and returns when it changed something. */
function feed(detector: SpeechDetector, from: number, levels: readonly number[]): number[] {
  return levels.flatMap((level, index) => (detector.add(level, from + 20 * index) ? [from + 20 * index] : []));
}

describe("SpeechDetector", () => {
  it("hears speech begin with the second loud level of three, and no single clicks", () => {
    const detector = new SpeechDetector();
    expect(feed(detector, 0, [0, LOUD, 0, 0, LOUD, 0, 0])).toEqual([]);
    expect(feed(detector, 1_000, [LOUD, 0, LOUD])).toEqual([1_040]);
    expect(detector.speaking).toBe(true);
  });

  it("bridges pauses between words, and goes on with soft syllables", () => {
    const detector = new SpeechDetector();
    feed(detector, 0, [LOUD, LOUD]);
    expect(feed(detector, 40, new Array(45).fill(0))).toEqual([]);
    expect(feed(detector, 940, [SOFT])).toEqual([]);
    expect(feed(detector, 960, new Array(100).fill(0))).toEqual([1_940]);
    expect(feed(detector, 3_000, new Array(100).fill(SOFT))).toEqual([]);
  });

  it("changes at most twice a second, whatever it hears", () => {
    const detector = new SpeechDetector();
    let seed = 1;
    const changes: number[] = [];
    for (let now = 0; now < 600_000; now += 20) {
      seed = (seed * 48_271) % 2_147_483_647;
      const level = seed % 1_000 < 20 ? LOUD : 0;
      if (detector.add(level, now)) changes.push(now);
    }
    expect(changes.length).toBeGreaterThan(20);
    expect(changes.some((at, index) => at - (changes[index - 2] ?? -1_000) < 1_000)).toBe(false);
  });
});

describe("SpeechWatch", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  const media = (id: string): MediaStreamTrack => ({ id }) as MediaStreamTrack;

  it("says when the microphone that it follows speaks, and that it does no more when it stops", () => {
    const said: boolean[] = [];
    const stopped: string[] = [];
    let level = 0;
    const watch = new SpeechWatch(
      (speaking) => void said.push(speaking),
      ({ id }) => ({ level: () => level, stop: () => void stopped.push(id) }),
    );
    const [first, second] = [media("first"), media("second")];
    watch.follow(first);
    vi.advanceTimersByTime(500);
    expect(said).toEqual([]);
    level = LOUD;
    vi.advanceTimersByTime(500);
    watch.follow(first);
    expect(said).toEqual([true]);
    watch.follow(second);
    expect([said, stopped]).toEqual([[true, false], ["first"]]);
    vi.advanceTimersByTime(500);
    expect(said).toEqual([true, false, true]);
    watch.follow(null);
    vi.advanceTimersByTime(5_000);
    expect([said, stopped]).toEqual([
      [true, false, true, false],
      ["first", "second"],
    ]);
  });

  it("says nothing where nothing can be measured", () => {
    const said: boolean[] = [];
    const watch = new SpeechWatch(
      (speaking) => void said.push(speaking),
      () => {
        throw new Error("no audio");
      },
    );
    watch.follow(media("m"));
    vi.advanceTimersByTime(5_000);
    watch.stop();
    expect(said).toEqual([]);
  });
});
