// Drives the frame-encryption session: passes events in, takes actions out, and sets a timer for its deadline.

import type { Clock } from "../e2ee/wasm.ts";
import { type Action, EventKind, readAction } from "./action.ts";
import type { FrameEngine } from "./engine.ts";

/** Reads both clocks. */
export type ReadClock = () => Clock;

const EMPTY = new Uint8Array(0);

/** Longest time between two ticks. The session compares its clocks at each, to detect that the machine slept. */
const MAX_TICK_INTERVAL_MS = 1_000;

/** A running session. */
export class Session {
  readonly #engine: FrameEngine;
  readonly #clock: ReadClock;
  readonly #act: (action: Action) => void;
  #deadline: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(engine: FrameEngine, clock: ReadClock, act: (action: Action) => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#act = act;
  }

  /** Handles an event and runs the resulting actions. Returns `false` if the event is malformed. */
  event(kind: EventKind, body: Uint8Array): boolean {
    const accepted = this.#engine.event(kind, this.#clock(), body);
    this.pump();
    return accepted;
  }

  /** Runs pending actions and sets the timer. To be called after each frame too, since a frame can request a key. */
  pump(): void {
    for (let bytes = this.#engine.poll(); bytes !== null; bytes = this.#engine.poll()) {
      const action = readAction(bytes);
      if (action !== null) this.#act(action);
    }
    const deadline = this.#engine.deadline();
    if (deadline === this.#deadline) return;
    this.#deadline = deadline;
    clearTimeout(this.#timer);
    if (deadline === null) return;
    this.#timer = setTimeout(
      () => {
        this.#deadline = null;
        this.event(EventKind.Tick, EMPTY);
      },
      Math.min(Math.max(0, deadline - this.#clock().now), MAX_TICK_INTERVAL_MS),
    );
  }
}
