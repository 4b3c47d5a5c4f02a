import { describe, expect, it } from "vitest";
import { type ConnectionFacts, connectedSince, nextStatus } from "../src/connection-status.ts";
import { TacetError } from "../src/errors.ts";

const GOOD: ConnectionFacts = {
  now: 5_000,
  online: true,
  loss: null,
  media: "connected",
  keysVoid: null,
  nextAttempt: null,
};
const BEFORE = connectedSince(0);
const LOST = { loss: new TacetError("server-unreachable") };

describe("nextStatus", () => {
  it("is the same object while nothing changes", () => {
    expect(nextStatus(BEFORE, GOOD)).toBe(BEFORE);
    const lost = nextStatus(BEFORE, { ...GOOD, ...LOST });
    expect(nextStatus(lost, { ...GOOD, ...LOST, now: 9_000 })).toBe(lost);
  });

  it("is interrupted while one of the two works, and reconnecting without both", () => {
    expect(nextStatus(BEFORE, { ...GOOD, ...LOST })).toMatchObject({ state: "interrupted", cause: "network" });
    expect(nextStatus(BEFORE, { ...GOOD, media: "interrupted" })).toMatchObject({
      state: "interrupted",
      cause: "media",
    });
    expect(nextStatus(BEFORE, { ...GOOD, ...LOST, media: "interrupted" }).state).toBe("reconnecting");
  });

  it("counts from the loss on, through all states until it is connected again", () => {
    const lost = nextStatus(BEFORE, { ...GOOD, ...LOST, now: 5_000 });
    const worse = nextStatus(lost, { ...GOOD, ...LOST, media: "interrupted", now: 8_000, nextAttempt: 8_300 });
    expect(worse).toMatchObject({ since: 5_000, nextAttempt: 8_300 });
    expect(nextStatus(worse, { ...GOOD, now: 9_000 })).toEqual(connectedSince(9_000));
  });

  it("names the cause", () => {
    const cause = (facts: Partial<ConnectionFacts>): unknown => nextStatus(BEFORE, { ...GOOD, ...facts }).cause;
    expect(cause({ ...LOST, online: false })).toBe("offline");
    expect(cause({ loss: new TacetError("server-busy") })).toBe("server");
    expect(cause({ loss: new TacetError("room-full") })).toBe("server");
    expect(cause({ keysVoid: new TacetError("device-slept"), ...LOST })).toBe("device-slept");
    expect(cause({ keysVoid: new TacetError("encryption") })).toBe("encryption");
    expect(cause({ media: "blocked" })).toBe("media");
  });

  it("speaks of a firewall only where media never came through", () => {
    const message = (media: "blocked" | "interrupted") => nextStatus(BEFORE, { ...GOOD, media }).error?.message;
    expect(message("blocked")).toMatch(/firewall/);
    expect(message("interrupted")).not.toMatch(/firewall/);
  });
});
