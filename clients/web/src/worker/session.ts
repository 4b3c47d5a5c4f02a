// Drives the frame-encryption session: events in, actions out, a timer at its deadline.

import { type Action, EventKind, readAction } from "./action.ts";
import type { FrameEngine } from "./engine.ts";

/** The clocks: milliseconds, `now` monotonic and whole, `wall` since 1970. */
export interface Clock {
  now(): number;
  wall(): number;
}

const NOTHING = new Uint8Array(0);

/** The session is woken at least so often: a machine that slept, or was restored, shows by its wall clock. */
const LOOK_EVERY_MS = 1_000;

/** A running session. */
export class Session {
  readonly #engine: FrameEngine;
  readonly #clock: Clock;
  readonly #act: (action: Action) => void;
  #deadline: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(engine: FrameEngine, clock: Clock, act: (action: Action) => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#act = act;
  }

  /** Feeds an event and does what follows from it; `false` if it is malformed. */
  event(kind: number, body: Uint8Array): boolean {
    const accepted = this.#engine.event(kind, this.#clock.now(), this.#clock.wall(), body);
    this.pump();
    return accepted;
  }

  /** Does what the session wants done. To be called after frames too: a frame can ask for a key. */
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
        this.event(EventKind.Tick, NOTHING);
      },
      Math.min(Math.max(0, deadline - this.#clock.now()), LOOK_EVERY_MS),
    );
  }
}
