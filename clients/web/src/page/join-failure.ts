// What keeps the person out, beside the join button: the fault, for how long, and a button to try at once where that can
// help.

import type { TacetError } from "../index.ts";
import { announce } from "./announcer.ts";
import { h } from "./element.ts";
import { joinSentence } from "./words.ts";

const TICK_MS = 1_000;

/** Whether there will be another attempt: by the person's hand, by itself, or by itself and at once on a click. */
export type NextAttempt = "by-hand" | "by-itself" | "at-will";

/** The box that names a fault. */
export class JoinFailure {
  readonly element: HTMLElement;
  readonly #sentence = h("span", {});
  readonly #seconds = h("span", { "aria-hidden": "true" });
  readonly #again: HTMLButtonElement;
  #since = 0;
  #code: TacetError["code"] | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(tryNow: () => void) {
    this.#again = h(
      "button",
      { type: "button", class: "button", "data-testid": "try-now", onclick: tryNow },
      "Try now",
    );
    const text = h("p", {}, this.#sentence, " ", this.#seconds);
    this.element = h("div", { class: "failure", hidden: true, "data-testid": "failure" }, text, this.#again);
  }

  /** Shows a fault. */
  show(error: TacetError, next: NextAttempt): void {
    const counts = next !== "by-hand";
    const sentence = joinSentence(error);
    if (error.code !== this.#code) {
      this.#since = performance.now();
      announce(sentence);
    }
    this.#code = error.code;
    this.#sentence.textContent = sentence;
    this.#again.hidden = next !== "at-will";
    this.element.hidden = false;
    clearInterval(this.#timer);
    this.#timer = counts ? setInterval(() => this.#count(), TICK_MS) : undefined;
    this.#count();
    this.#seconds.hidden = !counts;
  }

  hide(): void {
    clearInterval(this.#timer);
    this.#code = null;
    this.element.hidden = true;
  }

  #count(): void {
    this.#seconds.textContent = `Trying again (${Math.round((performance.now() - this.#since) / 1_000)} s)`;
  }
}
