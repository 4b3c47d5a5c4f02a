// The participants of the call as the server lists them, by revision.

import type { Joined, ParticipantId, Roster as RosterChange } from "./protocol/generated.ts";

/** The effect of a roster change. */
export interface RosterUpdate {
  /** Participants that left. */
  readonly left: readonly ParticipantId[];
  /** Whether a change before this one was missed, so that the whole roster is needed. */
  readonly gap: boolean;
}

/** The roster of a connection. */
export class Roster {
  readonly #present = new Set<ParticipantId>();
  #revision = 0;

  /** Starts with the roster of the answer to `join`. */
  start({ rev, roster }: Pick<Joined, "rev" | "roster">): void {
    this.#revision = rev;
    for (const { participant } of roster) this.#present.add(participant);
  }

  /** Applies a change. */
  apply({ rev, full, add, del }: RosterChange): RosterUpdate {
    const left = new Set(del);
    if (full) {
      const listed = new Set(add.map(({ participant }) => participant));
      for (const participant of this.#present) if (!listed.has(participant)) left.add(participant);
    }
    const gap = !full && rev !== this.#revision + 1;
    this.#revision = rev;
    for (const { participant } of add) this.#present.add(participant);
    for (const participant of left) this.#present.delete(participant);
    return { left: [...left], gap };
  }
}
