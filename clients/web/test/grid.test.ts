import { describe, expect, it } from "vitest";
import { layout } from "../src/page/grid.ts";
import { initials } from "../src/page/tile.ts";

const LANDSCAPE = { narrowest: 4 / 3, widest: 16 / 9 };
const PORTRAIT = { narrowest: 3 / 4, widest: 16 / 9 };

describe("layout", () => {
  it("chooses the number of columns with the largest tiles", () => {
    expect(layout(1, { width: 1280, height: 720, gap: 12 }, LANDSCAPE)).toEqual({
      columns: 1,
      width: 1280,
      height: 720,
    });
    expect(layout(2, { width: 1280, height: 720, gap: 12 }, LANDSCAPE).columns).toBe(2);
    expect(layout(4, { width: 1280, height: 660, gap: 12 }, LANDSCAPE).columns).toBe(2);
    expect(layout(10, { width: 1280, height: 660, gap: 12 }, LANDSCAPE).columns).toBe(4);
    expect(layout(2, { width: 374, height: 690, gap: 8 }, PORTRAIT).columns).toBe(1);
    expect(layout(6, { width: 374, height: 690, gap: 8 }, PORTRAIT).columns).toBe(2);
  });

  it("keeps within the space and the aspect ratios", () => {
    for (let tiles = 1; tiles <= 12; tiles += 1) {
      for (const [width, height] of [
        [374, 690],
        [1248, 651],
        [300, 300],
        [2000, 200],
      ] as const) {
        const tile = layout(tiles, { width, height, gap: 10 }, PORTRAIT);
        const rows = Math.ceil(tiles / tile.columns);
        expect(tile.columns * tile.width + (tile.columns - 1) * 10).toBeLessThanOrEqual(width);
        expect(rows * tile.height + (rows - 1) * 10).toBeLessThanOrEqual(height);
        expect((tile.width + 1) / tile.height).toBeGreaterThanOrEqual(PORTRAIT.narrowest);
        expect(tile.width / (tile.height + 1)).toBeLessThanOrEqual(PORTRAIT.widest);
      }
    }
  });

  it("returns tiles without size for an empty space", () => {
    expect(layout(3, { width: 0, height: 0, gap: 12 }, LANDSCAPE)).toMatchObject({ width: 0, height: 0 });
  });
});

describe("initials", () => {
  it("takes the first letters of the first and last word, in any script", () => {
    expect(initials("Ada Lovelace")).toBe("AL");
    expect(initials("  edsger w. dijkstra ")).toBe("ED");
    expect(initials("Åsa")).toBe("Å");
    expect(initials("🎵 quiet")).toBe("🎵Q");
    expect(initials(" ")).toBe("");
  });
});
