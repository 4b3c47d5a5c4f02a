import { describe, expect, it } from "vitest";
import { Speaking } from "../src/speaking.ts";

describe("speaking", () => {
  it("starts with a loud moment and outlasts the pause between words", () => {
    const speaking = new Speaking();
    expect(speaking.update(0)).toBeNull();
    speaking.level(1, 0.2, 100);
    expect(speaking.update(100)).toEqual(new Set([1]));
    speaking.level(1, 0.001, 500);
    expect(speaking.update(500)).toBeNull();
    expect(speaking.update(900)).toEqual(new Set());
  });

  it("tells only changes", () => {
    const speaking = new Speaking();
    for (let now = 0; now < 1_000; now += 100) {
      speaking.level(1, 0.5, now);
      expect(speaking.update(now)).toEqual(now === 0 ? new Set([1]) : null);
    }
  });

  it("stops at once for who is muted or gone", () => {
    const speaking = new Speaking();
    speaking.level(1, 0.5, 0);
    speaking.hint(2, 20, 0);
    speaking.hint(3, 90, 0);
    expect(speaking.update(0)).toEqual(new Set([1, 2]));
    speaking.silence(1);
    expect(speaking.update(1)).toEqual(new Set([2]));
  });
});
