import { expect, it } from "vitest";
import type { TransformCounters } from "../src/worker/messages.ts";
import { PulseMeter } from "../src/worker/pulse.ts";

function transform(id: string, role: "seal" | "open"): { counters: TransformCounters } {
  return { counters: { id, role, framesIn: 0, framesEmpty: 0, framesOut: 0, bytesOut: 0, failures: {} } };
}

it("a pulse tells what went through since the one before", () => {
  const meter = new PulseMeter();
  const [mine, first, second] = [transform("sa", "seal"), transform("a0", "open"), transform("a1", "open")];
  const all = [mine, first, second];
  expect(meter.take(all)).toEqual({ sealed: false, opened: [] });
  mine.counters.framesOut += 1;
  second.counters.framesOut += 3;
  expect(meter.take(all)).toEqual({ sealed: true, opened: ["a1"] });
  // Silence that is not sent is no sign of life to anyone, so heartbeats go on.
  mine.counters.framesEmpty += 25;
  expect(meter.take(all)).toEqual({ sealed: false, opened: [] });
  // Frames that could not be opened are no sign of their sender.
  first.counters.framesIn += 3;
  expect(meter.take(all)).toEqual({ sealed: false, opened: [] });
});
