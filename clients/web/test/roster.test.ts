import { beforeEach, describe, expect, it } from "vitest";
import { Roster } from "../src/roster.ts";

const entry = (participant: number, seat = participant) => ({ participant, seat });

let roster: Roster;
beforeEach(() => {
  roster = new Roster();
  roster.start({ rev: 4, roster: [entry(1), entry(2)], gathering: false });
});

describe("Roster", () => {
  it("reports departures of the next revision without a gap", () => {
    expect(roster.apply({ rev: 5, full: false, add: [entry(3)], del: [1] })).toEqual({ left: [1], gap: false });
    expect(roster.apply({ rev: 6, full: false, add: [], del: [] })).toEqual({ left: [], gap: false });
  });

  it("reports departures of participants that it never saw", () => {
    expect(roster.apply({ rev: 5, full: false, add: [], del: [77] }).left).toEqual([77]);
  });

  it("reports a gap after a missed revision", () => {
    expect(roster.apply({ rev: 6, full: false, add: [], del: [] })).toEqual({ left: [], gap: true });
  });

  it("reports everyone who is not in a full roster, without a gap", () => {
    expect(roster.apply({ rev: 9, full: true, add: [entry(2), entry(5)], del: [] })).toEqual({ left: [1], gap: false });
    expect(roster.apply({ rev: 10, full: true, add: [], del: [] })).toEqual({ left: [2, 5], gap: false });
  });

  it("takes a known id on another seat for a return with new keys", () => {
    expect(roster.apply({ rev: 5, full: false, add: [entry(1, 9)], del: [1] }).left).toEqual([1]);
    expect(roster.has(1)).toBe(true);
    expect(roster.apply({ rev: 9, full: true, add: [entry(1, 9), entry(2, 10)], del: [] }).left).toEqual([2]);
    expect(roster.has(2)).toBe(true);
  });

  it("knows who is away", () => {
    roster.apply({ rev: 5, full: false, add: [], del: [], upd: [{ ...entry(1), away: true }] });
    expect([roster.isAway(1), roster.isAway(2)]).toEqual([true, false]);
    roster.apply({ rev: 6, full: false, add: [], del: [], upd: [entry(1)] });
    expect(roster.isAway(1)).toBe(false);
  });

  it("keeps those that a gathering server lacks, as away, until a full roster", () => {
    expect(roster.start({ rev: 1, roster: [entry(1)], gathering: true })).toEqual({ left: [], gap: false });
    expect([roster.isAway(1), roster.isAway(2)]).toEqual([false, true]);
    expect(roster.expected()).toEqual([entry(1), entry(2)]);
    roster.apply({ rev: 2, full: false, add: [entry(2)], del: [] });
    expect(roster.isAway(2)).toBe(false);
    expect(roster.apply({ rev: 3, full: true, add: [entry(2)], del: [] }).left).toEqual([1]);
  });

  it("drops those who are absent when the time for gathering is over", () => {
    roster.start({ rev: 1, roster: [entry(1)], gathering: true });
    expect(roster.giveUpAbsent()).toEqual([2]);
    expect(roster.has(1)).toBe(true);
  });

  it("takes the roster of a server that does not gather as it is", () => {
    expect(roster.start({ rev: 1, roster: [entry(1)], gathering: false }).left).toEqual([2]);
  });
});
