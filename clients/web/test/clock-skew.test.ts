import { expect, it } from "vitest";
import { clockSkewMinutes } from "../src/clock-skew.ts";
import { ClockSkewError } from "../src/errors.ts";

const MINUTE = 60_000;

it("a clock that the others would refuse is off by whole minutes, with a sign", () => {
  expect(clockSkewMinutes(0, 20 * MINUTE)).toBe(20);
  expect(clockSkewMinutes(20 * MINUTE, 0)).toBe(-20);
  expect(clockSkewMinutes(0, 8.9 * MINUTE)).toBeNull();
});

it("the error says by how much and in which direction", () => {
  expect(new ClockSkewError(20).message).toMatch(/20 minutes ahead/);
  expect(new ClockSkewError(-61).message).toMatch(/61 minutes behind/);
  expect(new ClockSkewError(20)).toMatchObject({ code: "clock-skew", remedy: "set-clock", minutes: 20 });
});
