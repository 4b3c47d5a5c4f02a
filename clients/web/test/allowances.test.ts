import { describe, expect, it } from "vitest";
import { Allowances, type MessageType } from "../src/protocol/allowances.ts";
import { TYPE_RATES } from "../src/protocol/generated.ts";
import { seeded } from "./random.ts";

/** The server's allowance for one type: a bucket that fills up again. Returns whether it accepts a message. */
function bucket(type: MessageType): (now: number) => boolean {
  const { burst, every_ms: interval } = TYPE_RATES[type];
  let tokens: number = burst;
  let last = 0;
  return (now) => {
    tokens = Math.min(burst, tokens + (now - last) / interval);
    last = now;
    // A rounding error is not a message.
    if (tokens < 1 - 1e-9) return false;
    tokens -= 1;
    return true;
  };
}

describe("Allowances", () => {
  // `hello` comes once on each connection, and is paced by the delay between attempts.
  const types = (Object.keys(TYPE_RATES) as MessageType[]).filter((type) => type !== "hello");
  it.each(types)("keep %s inside the rate of the server, also on a jittery network", (type) => {
    const random = seeded();
    const allowances = new Allowances();
    const accepts = bucket(type);
    let [now, arrived] = [0, 0];
    for (let message = 0; message < 200; message += 1) {
      if (random.below(4) === 0) now += random.below(5 * TYPE_RATES[type].every_ms);
      now += allowances.delay(type, now);
      allowances.spend(type, now);
      // Up to a quarter of the burst is in flight at once; a connection keeps the order.
      const jitter = random.below(1 + Math.floor((TYPE_RATES[type].burst / 4) * TYPE_RATES[type].every_ms));
      arrived = Math.max(arrived, now + jitter);
      expect(accepts(arrived)).toBe(true);
    }
  });

  it("make a first burst wait for nothing", () => {
    const allowances = new Allowances();
    for (let track = 0; track < 8; track += 1) {
      expect(allowances.delay("publish", 0)).toBe(0);
      allowances.spend("publish", 0);
    }
  });
});
