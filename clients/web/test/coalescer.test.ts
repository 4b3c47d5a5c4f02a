import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Coalescer } from "../src/coalescer.ts";

let done: number[];
let coalescer: Coalescer;

beforeEach(() => {
  vi.useFakeTimers();
  done = [];
  const start = performance.now();
  coalescer = new Coalescer(() => done.push(performance.now() - start), { settle: 40, interval: 250 });
});
afterEach(() => void vi.useRealTimers());

it("does work for a burst once, soon after its beginning", () => {
  for (let i = 0; i < 5; i += 1) {
    coalescer.request();
    vi.advanceTimersByTime(7);
  }
  vi.advanceTimersByTime(1_000);
  expect(done).toEqual([40]);
});

it("does work for changes without an end once in an interval", () => {
  for (let now = 0; now < 1_000; now += 10) {
    coalescer.request();
    vi.advanceTimersByTime(10);
  }
  expect(done).toEqual([40, 290, 540, 790]);
});

it("does nothing once it is stopped", () => {
  coalescer.request();
  coalescer.stop();
  vi.advanceTimersByTime(1_000);
  expect(done).toEqual([]);
  coalescer.request();
  vi.advanceTimersByTime(40);
  expect(done).toHaveLength(1);
});
