import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SOURCES } from "../src/sources.ts";
import { StreamKeys } from "../src/stream-keys.ts";
import { streamEvent } from "../src/worker/event.ts";

const { stream } = SOURCES.screen;
const OPENED = streamEvent("opened", stream);
const CLOSED = streamEvent("closed", stream);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("StreamKeys", () => {
  it("resolves once the stream has a key", async () => {
    const events: unknown[] = [];
    const keys = new StreamKeys((event) => void events.push(event));
    const opened = keys.open(stream);
    expect(events).toEqual([OPENED]);
    keys.ready(stream);
    await opened;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(events).toEqual([OPENED]);
  });

  it("rejects and closes the stream if no key is ready in time", async () => {
    const events: unknown[] = [];
    const keys = new StreamKeys((event) => void events.push(event));
    const opened = expect(keys.open(stream)).rejects.toMatchObject({ code: "encryption" });
    await vi.advanceTimersByTimeAsync(15_000);
    await opened;
    expect(events).toEqual([OPENED, CLOSED]);
  });
});
