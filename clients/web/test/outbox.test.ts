import { describe, expect, it } from "vitest";
import { Outbox, Priority } from "../src/protocol/outbox.ts";

/** Takes every message as early as allowed, and returns when each was taken. */
function drain(outbox: Outbox, from = 0): { at: number; payload: unknown }[] {
  const sent: { at: number; payload: unknown }[] = [];
  let now = from;
  for (let delay = outbox.delay(now); delay !== null; delay = outbox.delay(now)) {
    now += delay;
    sent.push({ at: now, payload: outbox.take(now) });
  }
  return sent;
}

describe("Outbox", () => {
  it("returns keys before control, control before state, state before chat", () => {
    const outbox = new Outbox();
    outbox.push(Priority.Chat, "chat");
    outbox.push(Priority.State, "state");
    outbox.push(Priority.Control, "control 1");
    outbox.push(Priority.Keys, "keys");
    outbox.push(Priority.Control, "control 2");
    expect(drain(outbox).map(({ payload }) => payload)).toEqual(["keys", "control 1", "control 2", "state", "chat"]);
  });

  it("returns at most 25 messages in any second", () => {
    const outbox = new Outbox();
    for (let i = 0; i < 120; i += 1) outbox.push(Priority.Control, `${i}`);
    const sent = drain(outbox, 5_000);
    expect(sent).toHaveLength(120);
    for (const { at } of sent) {
      expect(sent.filter((other) => other.at >= at && other.at < at + 1_000).length).toBeLessThanOrEqual(25);
    }
    expect(sent.at(-1)?.at).toBe(5_000 + 4_000);
  });

  it("spends its rate on the highest priority, even if that was pushed last", () => {
    const outbox = new Outbox(2);
    for (const payload of ["a", "b", "c"]) outbox.push(Priority.Control, payload);
    expect([outbox.take(0), outbox.take(0), outbox.take(0)]).toEqual(["a", "b", null]);
    outbox.push(Priority.Keys, "key");
    expect(outbox.delay(400)).toBe(600);
    expect([outbox.take(999), outbox.take(1_000)]).toEqual([null, "key"]);
  });

  it("keeps only the latest state of an object, in the position of the first", () => {
    const outbox = new Outbox();
    outbox.push(Priority.State, "mic muted", "mic");
    outbox.push(Priority.State, "camera muted", "camera");
    outbox.push(Priority.State, "mic unmuted", "mic");
    expect(drain(outbox).map(({ payload }) => payload)).toEqual(["mic unmuted", "camera muted"]);
  });

  it("has no delay while it is empty", () => {
    expect(new Outbox().delay(0)).toBeNull();
    expect(new Outbox().take(0)).toBeNull();
  });
});
