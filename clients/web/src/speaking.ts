// Who speaks. The level comes from the sound itself or from its header extension; whose sound it is, from the
// authenticated KID of the slot. The server's list of speakers is a hint, used only where the browser has no level.

/** Linear level (0 to 1) from which a voice counts: about -42 dBov. */
const THRESHOLD = 0.008;
/** How long one counts as speaking after the last loud moment, so that pauses between words do not flicker. */
const HOLD_MS = 700;
/** Loudness of the server's hint (RFC 6464, -dBov) up to which a voice counts. */
const HINT_THRESHOLD = 42;

/** Keeps the set of speakers steady. Time is an argument. */
export class Speaking {
  readonly #lastLoud = new Map<number, number>();
  #speaking: ReadonlySet<number> = new Set();

  /** A measured level of a participant, linear from 0 to 1. */
  level(participant: number, level: number, now: number): void {
    if (level >= THRESHOLD) this.#lastLoud.set(participant, now);
  }

  /** The server's hint: 0 is loudest, 127 silence. */
  hint(participant: number, level: number, now: number): void {
    if (level <= HINT_THRESHOLD) this.#lastLoud.set(participant, now);
  }

  /** A participant left or was muted: it stops at once. */
  silence(participant: number): void {
    this.#lastLoud.delete(participant);
  }

  /** Who speaks at `now`; `null` if that has not changed since the last call. */
  update(now: number): ReadonlySet<number> | null {
    const speaking = new Set<number>();
    for (const [participant, since] of this.#lastLoud) {
      if (now - since <= HOLD_MS) speaking.add(participant);
      else this.#lastLoud.delete(participant);
    }
    const same = speaking.size === this.#speaking.size && [...speaking].every((p) => this.#speaking.has(p));
    this.#speaking = speaking;
    return same ? null : speaking;
  }
}
