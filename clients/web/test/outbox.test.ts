import { describe, expect, it } from "vitest";
import { Allowances, type MessageType } from "../src/protocol/allowances.ts";
import { TYPE_RATES } from "../src/protocol/generated.ts";
import { Outbox, Priority } from "../src/protocol/outbox.ts";

/** An outbox whose messages are of a type that is never used up here, unless they say otherwise. */
class Typed extends Outbox {
  constructor(rate?: number) {
    super(new Allowances(), rate);
  }
  add(priority: Priority, payload: string, object?: string, type: MessageType = "slots.ready"): void {
    this.push({ type, payload, priority, object });
  }
}

/** Takes every message as early as allowed, and returns when each was taken. */
function drain(outbox: Typed, from = 0): { at: number; payload: unknown }[] {
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
    const outbox = new Typed();
    outbox.add(Priority.Chat, "chat");
    outbox.add(Priority.State, "state");
    outbox.add(Priority.Control, "control 1");
    outbox.add(Priority.Keys, "keys");
    outbox.add(Priority.Control, "control 2");
    expect(drain(outbox).map(({ payload }) => payload)).toEqual(["keys", "control 1", "control 2", "state", "chat"]);
  });

  it("returns at most 25 messages in any second", () => {
    const outbox = new Typed();
    const types = Object.keys(TYPE_RATES) as MessageType[];
    const many = types.filter((type) => TYPE_RATES[type].every_ms <= 200);
    for (let i = 0; i < 120; i += 1) outbox.add(Priority.Control, `${i}`, undefined, many[i % many.length]);
    const sent = drain(outbox, 5_000);
    expect(sent).toHaveLength(120);
    for (const { at } of sent) {
      expect(sent.filter((other) => other.at >= at && other.at < at + 1_000).length).toBeLessThanOrEqual(25);
    }
    expect(sent.at(-1)?.at).toBe(5_000 + 4_000);
  });

  it("spends its rate on the highest priority, even if that was pushed last", () => {
    const outbox = new Typed(2);
    for (const payload of ["a", "b", "c"]) outbox.add(Priority.Control, payload);
    expect([outbox.take(0), outbox.take(0), outbox.take(0)]).toEqual(["a", "b", null]);
    outbox.add(Priority.Keys, "key");
    expect(outbox.delay(400)).toBe(600);
    expect([outbox.take(999), outbox.take(1_000)]).toEqual([null, "key"]);
  });

  it("keeps only the latest state of an object, in the position of the first", () => {
    const outbox = new Typed();
    outbox.add(Priority.State, "mic muted", "mic");
    outbox.add(Priority.State, "camera muted", "camera");
    outbox.add(Priority.State, "mic unmuted", "mic");
    expect(drain(outbox).map(({ payload }) => payload)).toEqual(["mic unmuted", "camera muted"]);
  });

  it("lets other types pass one that is used up", () => {
    const outbox = new Typed();
    for (let i = 0; i < 4; i += 1) outbox.add(Priority.Control, `announce ${i}`, undefined, "announce");
    outbox.add(Priority.State, "mute", undefined, "mute");
    expect(drain(outbox)).toEqual([
      { at: 0, payload: "announce 0" },
      { at: 0, payload: "announce 1" },
      { at: 0, payload: "mute" },
      { at: 10_000, payload: "announce 2" },
      { at: 20_000, payload: "announce 3" },
    ]);
  });

  it("sends the last of many changes of a state, whichever types they have", () => {
    const outbox = new Typed();
    let now = 0;
    const sent: unknown[] = [];
    for (let i = 0; i < 30; i += 1, now += 10) {
      const type = i % 2 === 0 ? "unmute" : "mute";
      outbox.add(Priority.State, type, "track 4", type);
      for (let payload = outbox.take(now); payload !== null; payload = outbox.take(now)) sent.push(payload);
    }
    sent.push(...drain(outbox, now).map(({ payload }) => payload));
    expect(sent.at(-1)).toBe("mute");
  });

  it("has no delay while it is empty", () => {
    expect(new Typed().delay(0)).toBeNull();
    expect(new Typed().take(0)).toBeNull();
  });
});
