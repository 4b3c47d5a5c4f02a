// Whether this person has compared the call code with the others, and what happened since.
//
// A comparison holds for one code. When another device comes, goes or returns with new keys, the code is another one, the
// mark is gone, and what happened is kept as sentences until the new code has been compared.

import { Emitter } from "../emitter.ts";
import type { CallCode } from "../index.ts";

/** Result of comparing the present code. */
export type Comparison =
  /** Not compared. */
  | "none"
  /** It was the same. */
  | "matches"
  /** It was not. */
  | "differs"
  /** Another code was the same, and the devices in the call have changed since. */
  | "outdated";

/** Sentences that are kept about one code; a call of a thousand has more changes than anyone reads. */
const MAX_CHANGES = 5;

/** The comparison of the code of one call. */
export class CodeCheck extends Emitter<{
  /** Something is to be drawn again. */
  changed: null;
  /** A comparison does not hold any longer. */
  outdated: null;
}> {
  #code: CallCode | null;
  /** The code of the last comparison. */
  #compared: string | null = null;
  #result: "matches" | "differs" = "matches";
  #changes: string[] = [];
  #dropped = 0;

  constructor(code: CallCode | null) {
    super();
    this.#code = code;
  }

  /** The present code. */
  get code(): CallCode | null {
    return this.#code;
  }

  /** There is another code, or none. */
  set code(code: CallCode | null) {
    if (code?.text === this.#code?.text) return;
    const before = this.comparison;
    this.#code = code;
    this.emit("changed", null);
    if (before !== "outdated" && this.comparison === "outdated") this.emit("outdated", null);
  }

  get comparison(): Comparison {
    if (this.#compared === null) return "none";
    // Without a code the last one may come back; nothing is claimed meanwhile.
    if (this.#compared === this.#code?.text) return this.#result;
    return this.#result === "matches" ? "outdated" : "none";
  }

  /** What happened since the code was compared, oldest first. */
  get changes(): readonly string[] {
    const more = this.#dropped === 0 ? [] : [`${this.#dropped} more changes.`];
    return [...this.#changes, ...more];
  }

  /** A device came, went or returned. */
  happened(sentence: string): void {
    if (this.#compared === null) return;
    if (this.#changes.length < MAX_CHANGES) this.#changes.push(sentence);
    else this.#dropped += 1;
    this.emit("changed", null);
  }

  /** The person compared a code, and says whether it was the same. Refused unless it is the present one. */
  compare(code: CallCode, result: "matches" | "differs"): void {
    if (code.text !== this.#code?.text) return;
    this.#compared = code.text;
    this.#result = result;
    this.#changes = [];
    this.#dropped = 0;
    this.emit("changed", null);
  }

  /** The person takes the last answer back. */
  reset(): void {
    this.#compared = null;
    this.#changes = [];
    this.#dropped = 0;
    this.emit("changed", null);
  }
}
