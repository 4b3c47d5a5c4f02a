import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Action, EventKind, readAction } from "../src/worker/action.ts";
import type { FrameEngine } from "../src/worker/engine.ts";
import { Session } from "../src/worker/session.ts";

/** An engine whose actions and deadline the test sets, and which records its events. */
class ScriptedEngine implements FrameEngine {
  actions: Uint8Array[] = [];
  nextDeadline: number | null = null;
  readonly events: number[] = [];

  event(kind: number): boolean {
    this.events.push(kind);
    return kind !== EventKind.Keys;
  }
  poll(): Uint8Array | null {
    return this.actions.shift() ?? null;
  }
  deadline(): number | null {
    return this.nextDeadline;
  }
  seal(): number {
    return -1;
  }
  open(): number {
    return -1;
  }
}

let engine: ScriptedEngine;
let acted: Action[];
let session: Session;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000 });
  engine = new ScriptedEngine();
  acted = [];
  const clock = () => ({ now: Math.floor(performance.now()), wall: Date.now() });
  session = new Session(engine, clock, (action) => void acted.push(action));
});
afterEach(() => void vi.useRealTimers());

describe("Session", () => {
  it("runs all actions that result from an event", () => {
    engine.actions = [new Uint8Array([6, 0, 0, 0, 1]), new Uint8Array([7, 0, 0, 0, 9, 0, 3])];
    expect(session.event(EventKind.Joined, new Uint8Array(2))).toBe(true);
    expect(acted).toEqual([
      { kind: "stream-ready", stream: 1 },
      { kind: "key-installed", participant: 9 },
    ]);
  });

  it("reports a malformed event", () => {
    expect(session.event(EventKind.Keys, new Uint8Array(0))).toBe(false);
  });

  it("ticks at the deadline, and again at the next one", async () => {
    engine.nextDeadline = Math.floor(performance.now()) + 500;
    session.pump();
    await vi.advanceTimersByTimeAsync(499);
    expect(engine.events).toEqual([]);
    engine.nextDeadline += 500;
    await vi.advanceTimersByTimeAsync(1);
    expect(engine.events).toEqual([EventKind.Tick]);
    await vi.advanceTimersByTimeAsync(500);
    expect(engine.events).toEqual([EventKind.Tick, EventKind.Tick]);
  });

  it("ticks once a second while the deadline is further away", async () => {
    engine.nextDeadline = Math.floor(performance.now()) + 600_000;
    session.pump();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(engine.events).toEqual([EventKind.Tick, EventKind.Tick, EventKind.Tick]);
  });

  it("cancels a deadline that was withdrawn", async () => {
    engine.nextDeadline = Math.floor(performance.now()) + 500;
    session.pump();
    engine.nextDeadline = null;
    session.pump();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(engine.events).toEqual([]);
  });
});

describe("readAction", () => {
  it("reads actions from bytes", () => {
    const announce = new Uint8Array(1 + 1 + 298 + 3).fill(7);
    announce.set([1, 1]);
    expect(readAction(announce)).toMatchObject({ kind: "announce", first: true, display: new Uint8Array([7, 7, 7]) });
    const verified = new Uint8Array([4, 0, 0, 1, 0, 0, 2, ...new TextEncoder().encode("Åsa")]);
    expect(readAction(verified)).toEqual({ kind: "verified", participant: 256, seat: 2, name: "Åsa" });
    expect(readAction(new Uint8Array([8, 0, 0, 0, 3, 4]))).toMatchObject({ participant: 3, code: "equivocation" });
    expect(readAction(new Uint8Array([9, 0, 0, 0, 2, 5]))).toEqual({ kind: "generation", generation: 2, step: 5 });
    expect(readAction(new Uint8Array([10, 1]))).toEqual({ kind: "ended" });
    expect(readAction(new Uint8Array([8, 0, 0, 0, 3, 5]))).toMatchObject({ participant: 3, code: "roster-differs" });
    expect(readAction(new Uint8Array([11, 0, 0, 0, 3, 6]))).toEqual({
      kind: "problem-solved",
      participant: 3,
      code: "key-missing",
    });
    expect(readAction(new Uint8Array([12, 7, 8]))).toEqual({ kind: "call-code", code: new Uint8Array([7, 8]) });
    expect(readAction(new Uint8Array([99]))).toBeNull();
  });
});
