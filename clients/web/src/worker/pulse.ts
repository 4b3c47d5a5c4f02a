// The pulse of the worker: that it lives, and which media went through it. What must not go on without the keys, such as
// the heartbeat that the server sees, is driven by it and not by a timer of the page.

import type { Pulse, TransformCounters } from "./messages.ts";

/** Time between two pulses. */
export const PULSE_MS = 500;

interface Counted {
  readonly counters: TransformCounters;
}

/** Compares the counters of transforms from one pulse to the next. */
export class PulseMeter {
  #last = new Map<string, number>();

  /** Returns what changed since the last call. */
  take(transforms: readonly Counted[]): Pulse {
    const now = new Map<string, number>();
    const opened: string[] = [];
    let sealed = false;
    for (const { counters } of transforms) {
      const { id, role, framesOut } = counters;
      const key = `${role} ${id}`;
      now.set(key, framesOut);
      if (framesOut === (this.#last.get(key) ?? 0)) continue;
      if (role === "seal") sealed = true;
      else opened.push(id);
    }
    this.#last = now;
    return { sealed, opened };
  }
}
