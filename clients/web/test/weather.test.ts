import { describe, expect, it } from "vitest";
import { explains, weather } from "../e2e/soak/weather.ts";

describe("weather", () => {
  it("is the same for a seed, begins and ends well, and never is harsh twice in a row", () => {
    expect(weather(3, 1_800)).toEqual(weather(3, 1_800));
    expect(weather(3, 1_800)).not.toEqual(weather(4, 1_800));
    for (let seed = 0; seed < 50; seed += 1) {
      const spells = weather(seed, 1_800);
      expect([spells[0]?.harsh, spells.at(-1)?.harsh, spells.at(-1)?.to]).toEqual([false, false, 1_800]);
      const kinds = new Set(spells.map(({ settings }) => settings));
      expect(kinds.size, `seed ${seed}`).toBe(10);
      for (const [index, { from, to, harsh }] of spells.entries()) {
        expect(to).toBeGreaterThan(from);
        expect(spells[index + 1]?.from ?? to).toBe(to);
        expect(harsh && spells[index + 1]?.harsh).toBe(false);
      }
    }
  });

  it("explains stalls in harsh spells, until a call has recovered, and just after a change", () => {
    const spells = [
      { from: 0, to: 100, settings: "wifi", harsh: false },
      { from: 100, to: 108, settings: "perfect,loss=100%", harsh: true },
      { from: 108, to: 200, settings: "4g", harsh: false },
    ];
    expect(explains(spells, 0, 3)).toBe(false);
    expect(explains(spells, 50, 60)).toBe(false);
    expect(explains(spells, 95, 101)).toBe(true);
    expect(explains(spells, 116, 119)).toBe(true);
    expect(explains(spells, 119, 122)).toBe(false);
  });
});
