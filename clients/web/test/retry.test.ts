import { describe, expect, it } from "vitest";
import { TacetError } from "../src/errors.ts";
import { Backoff, endsCall, endsJoining } from "../src/retry.ts";

/** Runs attempts that take no time until this time, and returns the delays before them. */
function delays(until: number, random: () => number): number[] {
  const backoff = new Backoff(0, random);
  const all: number[] = [];
  for (let now = 0; now < until; ) {
    const delay = backoff.next(now);
    all.push(delay);
    now += delay;
  }
  return all;
}

describe("Backoff", () => {
  it("tries at once, then at most 2 s apart for two minutes, then at most 10 s", () => {
    expect(delays(2_000, () => 1)).toEqual([100, 300, 600, 1_200]);
    const first = delays(120_000, () => 1);
    expect(Math.max(...first)).toBe(2_000);
    const hour = delays(3_600_000, () => 1);
    expect(Math.max(...hour)).toBe(10_000);
    expect(hour.at(-1)).toBe(10_000);
  });

  it("is jittered by half", () => {
    expect(delays(500, () => 0)).toEqual([50, 150, 300]);
  });

  it("limits each attempt", () => {
    const backoff = new Backoff(0);
    expect(backoff.limit(119_999)).toBe(5_000);
    expect(backoff.limit(120_000)).toBe(15_000);
  });
});

describe("endsCall", () => {
  it("is true for the server's word that it is over, and nothing else", () => {
    for (const code of ["no-room", "access-refused", "removed", "moved", "ended"] as const) {
      expect(endsCall(new TacetError(code)), code).toBe(true);
    }
    for (const code of [
      "room-full",
      "encryption",
      "server-unreachable",
      "offline",
      "protocol",
      "media-path",
    ] as const) {
      expect(endsCall(new TacetError(code)), code).toBe(false);
    }
  });
});

describe("endsJoining", () => {
  it("is false for what passes by itself", () => {
    for (const code of ["server-unreachable", "offline", "server-busy", "protocol"] as const) {
      expect(endsJoining(new TacetError(code)), code).toBe(false);
    }
    for (const code of ["room-full", "no-room", "clock-skew", "encryption"] as const) {
      expect(endsJoining(new TacetError(code)), code).toBe(true);
    }
  });
});
