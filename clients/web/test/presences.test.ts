import { beforeEach, describe, expect, it } from "vitest";
import { Presences } from "../src/presences.ts";

let presences: Presences;
let away: Set<number>;
beforeEach(() => {
  presences = new Presences();
  away = new Set();
});

function update(now: number, detachedSince: number | null = null): number[] {
  return presences.update({ now, participants: [1, 2], isAway: (id) => away.has(id), detachedSince });
}

describe("Presences", () => {
  it("follows the server", () => {
    expect(update(0)).toEqual([]);
    away.add(2);
    expect(update(10)).toEqual([2]);
    expect([presences.of(1), presences.of(2)]).toEqual(["present", "away"]);
    away.clear();
    expect(update(20)).toEqual([2]);
  });

  it("believes media more than the server", () => {
    away.add(1);
    presences.heard(1, 1_000);
    expect(update(2_400)).toEqual([]);
    expect(update(2_600)).toEqual([1]);
  });

  it("shows everyone without media as away two seconds after the link was lost", () => {
    presences.heard(1, 10_500);
    expect(update(11_900, 10_000)).toEqual([]);
    expect(update(12_000, 10_000)).toEqual([2]);
    presences.heard(1, 13_000);
    expect(update(13_000, 10_000)).toEqual([]);
    expect(update(14_600, 10_000)).toEqual([1]);
    expect(update(14_700, null)).toEqual([1, 2]);
  });

  it("forgets who has left", () => {
    away.add(1);
    update(0);
    presences.remove(1);
    expect(presences.of(1)).toBe("present");
  });
});
