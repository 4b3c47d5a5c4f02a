// The banner that says that this device is cut off, why, for how long, and lets the person try at once.

import { announce } from "./announcer.ts";
import { h } from "./element.ts";
import { type LossCause, lossSentence } from "./words.ts";

/** A loss that heals within this time is not worth a word. */
const QUIET_MS = 2_000;
/** While only signaling is gone, people see and hear each other, and nothing is said for longer. */
const QUIET_SIGNALING_MS = 10_000;
const TICK_MS = 250;

/** A loss of this device's connection. */
export interface Loss {
  readonly cause: LossCause;
  /** When it began, in the time of `performance.now()`. */
  readonly since: number;
}

/** Whether a loss has lasted long enough to be shown. */
export function isShown({ cause, since }: Loss, now: number): boolean {
  return now - since >= (cause === "signaling" ? QUIET_SIGNALING_MS : QUIET_MS);
}

/** The banner. */
export class ConnectionBanner {
  readonly element: HTMLElement;
  readonly #sentence = h("span", { class: "banner-sentence" });
  readonly #seconds = h("span", { class: "banner-seconds", "aria-hidden": "true" });
  readonly #shown: (loss: Loss | null) => void;
  readonly #read: () => Loss | null;
  #announced: LossCause | null = null;
  #cause: LossCause | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * @param read returns the present loss, `null` while all is well
   * @param shown is called with the loss when the banner appears or its cause changes, and with `null` when it disappears
   */
  constructor(read: () => Loss | null, tryNow: () => void, shown: (loss: Loss | null) => void) {
    this.#read = read;
    this.#shown = shown;
    const button = h(
      "button",
      { type: "button", class: "button", "data-testid": "try-now", onclick: tryNow },
      "Try now",
    );
    const text = h("p", {}, this.#sentence, " ", this.#seconds);
    this.element = h("div", { class: "banner", hidden: true, "data-testid": "banner" }, text, button);
  }

  /** Draws the present state, and goes on counting while there is a loss. */
  refresh(): void {
    clearInterval(this.#timer);
    if (this.#draw() !== null) this.#timer = setInterval(() => this.#draw(), TICK_MS);
  }

  /** Stops counting. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #draw(): Loss | null {
    const now = performance.now();
    const loss = this.#read();
    const show = loss !== null && isShown(loss, now);
    if (show) {
      const sentence = lossSentence(loss.cause);
      this.#sentence.textContent = sentence;
      this.#seconds.textContent = `Trying again (${Math.round((now - loss.since) / 1_000)} s)`;
      // The seconds are not announced, and neither is the same cause twice.
      if (this.#announced !== loss.cause) announce(`${sentence} Trying again.`);
      this.#announced = loss.cause;
    } else if (loss === null && this.#announced !== null) {
      announce("Connected again.");
      this.#announced = null;
    }
    const cause = show ? loss.cause : null;
    if (cause !== this.#cause) {
      this.#cause = cause;
      this.element.hidden = !show;
      this.element.dataset.cause = cause ?? "";
      this.#shown(show ? loss : null);
    }
    return loss;
  }
}
