import { beforeEach, describe, expect, it } from "vitest";
import { type MediaObservation, MediaWatch } from "../src/media-watch.ts";

let watch: MediaWatch;
let now: number;
beforeEach(() => {
  watch = new MediaWatch(0);
  now = 0;
});

/** Observes every half second for a time. Returns the times at which ICE was to be restarted. */
function run(milliseconds: number, what: Partial<MediaObservation>): number[] {
  const restarts: number[] = [];
  for (const end = now + milliseconds; now < end; ) {
    now += 500;
    const observation = { now, state: "connected", lost: false, received: false, expected: false, ...what } as const;
    if (watch.observe(observation)) restarts.push(now);
  }
  return restarts;
}

const FLOWING = { received: true, expected: true };
const SILENT = { received: false, expected: true };

describe("MediaWatch", () => {
  it("restarts ICE within two seconds of silence where media should flow", () => {
    run(5_000, FLOWING);
    expect(run(2_000, SILENT)[0]).toBe(6_000);
    expect(watch.state).toBe("interrupted");
  });

  it("leaves silence alone where nothing is expected", () => {
    run(5_000, FLOWING);
    expect(run(60_000, { received: false, expected: false })).toEqual([]);
    expect(watch.state).toBe("connected");
  });

  it("does not miss what was not expected before", () => {
    run(60_000, {});
    expect(run(1_000, SILENT)).toEqual([]);
    expect(run(60_000, FLOWING)).toEqual([]);
  });

  it.each([{ state: "disconnected" }, { state: "failed" }, { lost: true }] as const)("restarts ICE on %o", (broken) => {
    run(5_000, FLOWING);
    expect(run(500, { ...FLOWING, ...broken })).toEqual([5_500]);
  });

  it("backs off while media stays away, and says so until it flows", () => {
    run(5_000, FLOWING);
    const restarts = run(60_000, SILENT);
    const gaps = restarts.slice(1).map((at, index) => at - (restarts[index] ?? 0));
    expect(gaps).toEqual([2_000, 3_000, 5_000, 10_000, 10_000, 10_000, 10_000]);
    // Connected again, and nothing comes: no flicker.
    run(2_000, SILENT);
    expect(watch.state).toBe("interrupted");
    run(500, FLOWING);
    expect(watch.state).toBe("connected");
  });

  it("calls a path that never gets connected blocked, and keeps trying", () => {
    const restarts = run(60_000, { state: "connecting" });
    expect(watch.state).toBe("blocked");
    expect(restarts[0]).toBe(5_000);
    expect(restarts.length).toBeGreaterThan(4);
    // A restart that goes through the states of the browser changes no message.
    run(500, { state: "failed" });
    run(500, { state: "connecting" });
    expect(watch.state).toBe("blocked");
    run(500, { state: "connected" });
    expect(watch.state).toBe("connected");
  });

  it("waits for nothing after a change of the network", () => {
    run(5_000, FLOWING);
    run(12_000, SILENT);
    watch.hurry();
    expect(run(500, SILENT)).toHaveLength(1);
  });

  it("takes a path that replaces a connected one for interrupted", () => {
    watch = new MediaWatch(0, "connected");
    expect(watch.state).toBe("interrupted");
    expect(run(4_500, { state: "connecting" })).toEqual([]);
    run(500, { state: "connected" });
    expect(watch.state).toBe("connected");
  });
});
