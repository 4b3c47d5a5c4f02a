import { describe, expect, it } from "vitest";
import { MAX_TEXT_BYTES, qrModules } from "../src/page/qr.ts";

/** A code that jsQR 1.4.0 reads as the text below it. */
const VECTOR = `
#######...#...#...#...#######
#.....#..#....####.#..#.....#
#.###.#.#..#....#...#.#.###.#
#.###.#..#..#.##.##.#.#.###.#
#.###.#..#..##.#...#..#.###.#
#.....#...####.##..#..#.....#
#######.#.#.#.#.#.#.#.#######
........#..#.#...#.##........
###.#####...##.##...###...#..
.#.###..##.####.##.###...#.#.
.##.#.#...####..#.....####.##
..####...##.###..##.#.###....
#.#.###.#.##.#..##.####.#.###
#..###..#.##.#.##..##....#.#.
..#####.##........#.#.##.####
.###.#.#..##.#..##.#...#.....
#.....#..#..#...#....##..#..#
..##...#..###..##....##....#.
#.#.#.##.#.##.#.#....#.#.#.##
.##....##.#.##.#.###..#......
#.....#.####.#.#....#######.#
........##.#...######...##.#.
#######.#.#...#.....#.#.#####
#.....#.##.#.#.#.##.#...#...#
#.###.#.##..####....#####.#..
#.###.#...###.####.#...##..##
#.###.#.##.##.#.##.##.###...#
#.....#.#...##...#.#..###..#.
#######.##.##.#....##.#.#.###
`;
const TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

const draw = (text: string): string[] => qrModules(text).map((row) => row.map((dark) => (dark ? "#" : ".")).join(""));

describe("qrModules", () => {
  it("draws a code that another implementation reads", () => {
    expect(draw(TEXT)).toEqual(VECTOR.trim().split("\n"));
  });

  it("has a place for every text up to its limit, and refuses a longer one", () => {
    for (const text of ["", "a", "x".repeat(MAX_TEXT_BYTES)]) {
      const rows = draw(text);
      expect(rows.map((row) => row.length)).toEqual(Array(29).fill(29));
    }
    expect(() => qrModules("x".repeat(MAX_TEXT_BYTES + 1))).toThrow(RangeError);
  });

  it("differs with every character", () => {
    const codes = [...TEXT].map((_, index) => draw(`${TEXT.slice(0, index)}-${TEXT.slice(index + 1)}`).join("\n"));
    expect(new Set(codes).size).toBe(TEXT.length);
  });
});
