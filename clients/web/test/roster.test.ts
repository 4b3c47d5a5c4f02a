import { beforeEach, describe, expect, it } from "vitest";
import { Roster } from "../src/roster.ts";

const entry = (participant: number) => ({ participant, seat: participant });

let roster: Roster;
beforeEach(() => {
  roster = new Roster();
  roster.start({ rev: 4, roster: [entry(1), entry(2)] });
});

describe("Roster", () => {
  it("reports departures of the next revision without a gap", () => {
    expect(roster.apply({ rev: 5, full: false, add: [entry(3)], del: [1] })).toEqual({ left: [1], gap: false });
    expect(roster.apply({ rev: 6, full: false, add: [], del: [] })).toEqual({ left: [], gap: false });
  });

  it("reports a gap after a missed revision", () => {
    expect(roster.apply({ rev: 6, full: false, add: [], del: [] })).toEqual({ left: [], gap: true });
  });

  it("reports everyone who is not in a full roster, without a gap", () => {
    expect(roster.apply({ rev: 9, full: true, add: [entry(2), entry(5)], del: [] })).toEqual({ left: [1], gap: false });
    expect(roster.apply({ rev: 10, full: true, add: [], del: [] })).toEqual({ left: [2, 5], gap: false });
  });
});
