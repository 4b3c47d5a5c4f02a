import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { holdLock } from "../src/worker/life-lock.ts";
import { HUNG_TICKS, LATE_MS, lockName, Silence, TICK_MS, WorkerLife } from "../src/worker-life.ts";
import { FakeLocks } from "./fake-locks.ts";

describe("Silence", () => {
  const start = (): Silence => new Silence(0);

  it("counts ticks without a sign of life", () => {
    const silence = start();
    const ticks = Array.from({ length: HUNG_TICKS }, (_, index) => silence.tick((index + 1) * TICK_MS));
    expect(ticks).toEqual([...Array(HUNG_TICKS - 1).fill(false), true]);
  });

  it("never judges a worker that answers now and then, however busy it is", () => {
    const silence = start();
    for (let tick = 1; tick < 1_000; tick += 1) {
      expect(silence.tick(tick * TICK_MS)).toBe(false);
      if (tick % (HUNG_TICKS - 1) === 0) silence.heard();
    }
  });

  it("starts again after a tick that was late: the page was frozen, and its worker with it", () => {
    const silence = start();
    for (let tick = 1; tick < HUNG_TICKS; tick += 1) silence.tick(tick * TICK_MS);
    expect(silence.tick(3_600_000)).toBe(false);
    expect(silence.tick(3_601_000)).toBe(false);
  });

  it("never judges while the page is throttled to one tick a minute", () => {
    const silence = start();
    for (let minute = 1; minute < 100; minute += 1) expect(silence.tick(minute * 60_000)).toBe(false);
  });

  it("tolerates ticks that are a little late", () => {
    const silence = start();
    const ticks = Array.from({ length: HUNG_TICKS }, (_, index) => silence.tick((index + 1) * (TICK_MS + LATE_MS - 1)));
    expect(ticks.at(-1)).toBe(true);
  });
});

describe("WorkerLife", () => {
  let locks: FakeLocks;
  let lost: string[];
  let asked: string[];

  beforeEach(() => {
    vi.useFakeTimers();
    locks = new FakeLocks();
    vi.stubGlobal("navigator", { locks });
    lost = [];
    asked = [];
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  function watch(lock: string | null): WorkerLife {
    return new WorkerLife(lock, { ask: () => void asked.push("alive?"), lost: (how) => void lost.push(how) });
  }

  it("notices the death of a worker at once, and reports it once", async () => {
    await holdLock("a");
    watch("a");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(lost).toEqual([]);
    locks.endHolder("a");
    await vi.advanceTimersByTimeAsync(0);
    expect(lost).toEqual(["died"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lost).toEqual(["died"]);
  });

  it("notices that a worker hangs, although it holds its lock", async () => {
    await holdLock("a");
    watch("a");
    await vi.advanceTimersByTimeAsync(HUNG_TICKS * TICK_MS);
    expect(lost).toEqual(["hangs"]);
    expect(asked).toHaveLength(HUNG_TICKS - 1);
  });

  it("reports nothing of a worker that answers, nor after it stopped watching", async () => {
    await holdLock("a");
    const life = watch("a");
    for (let second = 0; second < 60; second += 1) {
      await vi.advanceTimersByTimeAsync(TICK_MS);
      life.heard();
    }
    life.stop();
    locks.endHolder("a");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lost).toEqual([]);
  });

  it("watches by its timer alone where locks are refused", async () => {
    vi.stubGlobal("navigator", { locks: { request: () => Promise.reject(new DOMException("", "SecurityError")) } });
    expect(await holdLock("a")).toBe(false);
    // The page would be granted a lock that no worker holds.
    vi.stubGlobal("navigator", { locks });
    watch(null);
    await vi.advanceTimersByTimeAsync((HUNG_TICKS - 1) * TICK_MS);
    expect(lost).toEqual([]);
    await vi.advanceTimersByTimeAsync(TICK_MS);
    expect(lost).toEqual(["hangs"]);
  });

  it("has another lock for each worker", () => {
    expect(lockName()).not.toBe(lockName());
  });
});
