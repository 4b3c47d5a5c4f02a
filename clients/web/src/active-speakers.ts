// Detects active speakers. The level comes from the decoded audio or its header extension, and the participant from the
// authenticated KID of the slot. The server's own list of speakers is only a hint, used where the browser reports no
// level.

import type { ParticipantId, Speaker } from "./protocol/generated.ts";

/** Linear level (0 to 1) above which a participant counts as speaking: about -42 dBov. */
const LEVEL_THRESHOLD = 0.008;
/** Quietest level of the server's hint that counts as speaking, in -dBov (RFC 6464). */
const HINT_THRESHOLD = 42;
/** How long a participant counts as speaking after the last loud moment, so that pauses between words do not flicker. */
const HOLD_MS = 700;

/** A measured level: linear, from 0 to 1. */
export interface MeasuredLevel {
  readonly participant: ParticipantId;
  readonly level: number;
}

/** The set of active speakers. `now` is a monotonic time in milliseconds. */
export class ActiveSpeakers {
  readonly #lastLoud = new Map<ParticipantId, number>();
  #speaking: ReadonlySet<ParticipantId> = new Set();

  /** Takes a level that this browser measured. */
  measure({ participant, level }: MeasuredLevel, now: number): void {
    if (level >= LEVEL_THRESHOLD) this.#lastLoud.set(participant, now);
  }

  /** Takes the server's hint: 0 is loudest, 127 is silence. */
  hint({ participant, level }: Speaker, now: number): void {
    if (level <= HINT_THRESHOLD) this.#lastLoud.set(participant, now);
  }

  /** Removes a participant who left or muted, without waiting for the hold time. */
  remove(participant: ParticipantId): void {
    this.#lastLoud.delete(participant);
  }

  /** Returns the active speakers at `now`, or `null` if they are the same as at the last call. */
  update(now: number): ReadonlySet<ParticipantId> | null {
    const speaking = new Set<ParticipantId>();
    for (const [participant, since] of this.#lastLoud) {
      if (now - since <= HOLD_MS) speaking.add(participant);
      else this.#lastLoud.delete(participant);
    }
    const unchanged = speaking.size === this.#speaking.size && [...speaking].every((p) => this.#speaking.has(p));
    this.#speaking = speaking;
    return unchanged ? null : speaking;
  }
}
