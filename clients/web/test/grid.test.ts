import { describe, expect, it } from "vitest";
import { layout } from "../src/page/grid.ts";
import { initials } from "../src/page/tile.ts";

const WIDE = { narrowest: 4 / 3, widest: 16 / 9 };
const TALL = { narrowest: 3 / 4, widest: 16 / 9 };

describe("the grid", () => {
  it("takes the number of columns that makes tiles largest", () => {
    expect(layout(1, 1280, 720, 12, WIDE)).toEqual({ columns: 1, width: 1280, height: 720 });
    expect(layout(2, 1280, 720, 12, WIDE).columns).toBe(2);
    expect(layout(4, 1280, 660, 12, WIDE).columns).toBe(2);
    expect(layout(10, 1280, 660, 12, WIDE).columns).toBe(4);
    expect(layout(2, 374, 690, 8, TALL).columns).toBe(1);
    expect(layout(6, 374, 690, 8, TALL).columns).toBe(2);
  });

  it("never leaves the stage, nor the allowed shapes", () => {
    for (let tiles = 1; tiles <= 12; tiles += 1) {
      for (const [width, height] of [
        [374, 690],
        [1248, 651],
        [300, 300],
        [2000, 200],
      ] as const) {
        const tile = layout(tiles, width, height, 10, TALL);
        const rows = Math.ceil(tiles / tile.columns);
        expect(tile.columns * tile.width + (tile.columns - 1) * 10).toBeLessThanOrEqual(width);
        expect(rows * tile.height + (rows - 1) * 10).toBeLessThanOrEqual(height);
        expect((tile.width + 1) / tile.height).toBeGreaterThanOrEqual(TALL.narrowest);
        expect(tile.width / (tile.height + 1)).toBeLessThanOrEqual(TALL.widest);
      }
    }
  });

  it("has no size on a stage that has none", () => {
    expect(layout(3, 0, 0, 12, WIDE)).toMatchObject({ width: 0, height: 0 });
  });
});

describe("initials", () => {
  it("are the first letters of the first and last name, of any script", () => {
    expect(initials("Ada Lovelace")).toBe("AL");
    expect(initials("  edsger w. dijkstra ")).toBe("ED");
    expect(initials("Åsa")).toBe("Å");
    expect(initials("🎵 quiet")).toBe("🎵Q");
    expect(initials(" ")).toBe("");
  });
});
