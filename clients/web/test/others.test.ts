import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Others } from "../src/others.ts";
import type { Joined } from "../src/protocol/generated.ts";

const entry = (participant: number, seat = participant) => ({ participant, seat });

function joined(participants: readonly number[], gathering = false): Joined {
  const roster = participants.map((id) => entry(id));
  return { seat: 0, rev: 1, roster, tracks: [], policy: { locked: false }, gathering };
}

let others: Others;
let log: string[];

beforeEach(() => {
  vi.useFakeTimers();
  others = new Others();
  log = [];
  others.on("verified", ({ participant }) => log.push(`verified ${participant}`));
  others.on("gone", (participant) => log.push(`gone ${participant}`));
  others.on("left", (left) => log.push(`left ${left}`));
  others.on("presence", ({ participant, presence }) => log.push(`${presence} ${participant}`));
  others.start(joined([1, 2]), true);
  others.verify({ participant: 1, name: "Bo" });
  others.verify({ participant: 2, name: "Cy" });
  log = [];
});
afterEach(() => {
  others.close();
  vi.useRealTimers();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

describe("Others", () => {
  it("reports who has left", async () => {
    others.apply({ rev: 2, full: false, add: [], del: [1] });
    await pass(1_000);
    expect(log).toEqual(["left 1", "gone 1"]);
  });

  it("shows someone who was away, and left, as away to the end", async () => {
    others.apply({ rev: 2, full: false, add: [], del: [], upd: [{ ...entry(1), away: true }] });
    others.updatePresence(0, null);
    others.apply({ rev: 3, full: false, add: [], del: [1] });
    others.updatePresence(10, null);
    await pass(1_000);
    expect(log).toEqual(["away 1", "left 1", "gone 1"]);
  });

  it("does not report the departure of someone who returns with new keys, in one message or two", async () => {
    others.apply({ rev: 2, full: false, add: [entry(1, 8)], del: [1] });
    others.remove(1);
    others.apply({ rev: 3, full: false, add: [], del: [2] });
    others.remove(2);
    await pass(200);
    others.apply({ rev: 4, full: false, add: [entry(2, 9)], del: [] });
    await pass(3_000);
    others.verify({ participant: 1, name: "Bo" });
    others.verify({ participant: 2, name: "Cy" });
    await pass(60_000);
    expect(log).toEqual(["left 1", "left 2", "verified 1", "verified 2"]);
  });

  it("reports someone as gone who does not prove to have the secret again", async () => {
    others.apply({ rev: 2, full: false, add: [entry(1, 8)], del: [1] });
    await pass(60_000);
    expect(log).toEqual(["left 1", "gone 1"]);
  });

  it("keeps everyone while a restarted server gathers, and the absent as away", async () => {
    others.start(joined([1], true), false);
    others.updatePresence(0, null);
    expect(log).toEqual(["away 2"]);
    await pass(25_000);
    others.apply({ rev: 2, full: true, add: [entry(1), entry(2)], del: [] });
    others.updatePresence(25_000, null);
    await pass(60_000);
    expect(log).toEqual(["away 2", "present 2"]);
  });

  it("takes the absent for gone after 40 seconds without a full roster", async () => {
    others.start(joined([1], true), false);
    await pass(39_000);
    expect(log).toEqual([]);
    await pass(2_000);
    expect(log).toEqual(["left 2", "gone 2"]);
  });

  it("has everyone verified again with new keys of this device, and announces no one twice", async () => {
    others.start(joined([1, 2]), true);
    others.verify({ participant: 1, name: "Bo" });
    await pass(60_000);
    expect(log).toEqual(["verified 1", "gone 2"]);
  });

  it("asks for the whole roster after a gap", () => {
    expect(others.apply({ rev: 2, full: false, add: [], del: [] })).toBe(false);
    expect(others.apply({ rev: 4, full: false, add: [], del: [] })).toBe(true);
  });

  it("knows who was there before, and believes no one who proves themselves much later", async () => {
    expect([others.wasHere(1), others.wasHere(9)]).toEqual([true, false]);
    await pass(10_000);
    expect(others.wasHere(1)).toBe(false);
  });
});
