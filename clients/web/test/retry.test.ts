import { describe, expect, it } from "vitest";
import { TacetError } from "../src/errors.ts";
import { isFinal, retryDelay } from "../src/retry.ts";

describe("retryDelay", () => {
  it("grows with the attempts up to a limit", () => {
    const delays = [0, 1, 2, 3, 4, 5, 100].map((attempt) => retryDelay(attempt, () => 1));
    expect(delays).toEqual([300, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  });

  it("is at least half of its maximum", () => {
    expect(retryDelay(0, () => 0)).toBe(150);
    expect(retryDelay(9, () => 0)).toBe(4_000);
  });
});

describe("isFinal", () => {
  it("is true for errors that another attempt would not resolve", () => {
    expect(isFinal(new TacetError("no-room"))).toBe(true);
    expect(isFinal(new TacetError("server-unreachable"))).toBe(false);
    expect(isFinal(new TacetError("media-path"))).toBe(false);
  });
});
