// The part of the protection dialog in which people compare the call code.

import type { CallCode } from "../index.ts";
import { announce } from "./announcer.ts";
import type { CodeCheck } from "./code-check.ts";
import { h, sentence } from "./element.ts";
import { icon } from "./icon.ts";
import { notify } from "./notice.ts";
import { qrCode } from "./qr.ts";

/** How long a code that has just changed cannot be confirmed: the person has read out another one. */
const SETTLE_MS = 2_000;

/** The panel. */
export class CodePanel {
  readonly element: HTMLElement;
  readonly #check: CodeCheck;
  readonly #alone: () => boolean;
  readonly #groups = h("ol", { class: "code-groups", "aria-label": "Call code", "data-testid": "call-code" });
  readonly #qr = h("div", { class: "code-qr" });
  readonly #code = h("div", { class: "code" });
  readonly #state = h("div", { class: "code-state", "data-testid": "code-state" });
  readonly #answers: HTMLElement;
  readonly #buttons: readonly HTMLButtonElement[];
  readonly #why = h("p", {});
  #drawn: string | null = null;
  #settling: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param alone whether no one else is in the call
   * @param leave leaves the call
   */
  constructor(check: CodeCheck, alone: () => boolean, leave: () => void) {
    this.#check = check;
    this.#alone = alone;
    const answer = (label: string, testId: string, result: "matches" | "differs"): HTMLButtonElement =>
      h(
        "button",
        { type: "button", class: "button", "data-testid": testId, onclick: () => this.#answer(result) },
        label,
      );
    this.#buttons = [answer("They match", "code-matches", "matches"), answer("They differ", "code-differs", "differs")];
    this.#answers = h("div", { class: "row" }, ...this.#buttons);
    const copy = h(
      "button",
      { type: "button", class: "button quiet", "data-testid": "copy-code", onclick: () => void this.#copy() },
      "Copy the digits",
    );
    this.#code.append(h("div", {}, this.#groups, copy), this.#qr);
    this.#leave = h(
      "button",
      { type: "button", class: "button primary", "data-testid": "code-leave", onclick: leave },
      "Leave",
    );
    this.#again = h("button", { type: "button", class: "button", onclick: () => this.#check.reset() }, "Compare again");
    this.element = h(
      "section",
      { class: "code-panel", "aria-labelledby": "code-title" },
      h("h3", { id: "code-title" }, "Call code"),
      this.#state,
      this.#why,
      this.#code,
      this.#answers,
    );
    check.on("changed", () => this.draw());
    this.draw();
  }

  readonly #leave: HTMLButtonElement;
  readonly #again: HTMLButtonElement;

  /** Draws the present state. */
  draw(): void {
    const { code, comparison } = this.#check;
    const shown = code !== null && !this.#alone();
    this.#code.hidden = !shown;
    this.#answers.hidden = !shown || comparison === "differs" || comparison === "matches";
    this.#why.textContent = shown
      ? "If everyone sees the same code, no other device is in between. Compare it with each person whose voice you know: " +
        "read the first three groups aloud, the other reads the last three."
      : "Once someone else is here, you can compare a code with them. It shows whether another device is in between.";
    this.#state.replaceChildren(...this.#stateLines());
    if (code !== null) this.#drawCode(code);
  }

  /** Stops its timer. */
  stop(): void {
    clearTimeout(this.#settling);
  }

  #stateLines(): HTMLElement[] {
    const { comparison, changes } = this.#check;
    switch (comparison) {
      case "none":
        return [];
      case "matches":
        return [
          line("good", "check", "You compared this code, and it matches."),
          h("div", { class: "row" }, this.#again),
        ];
      case "differs":
        return [
          line(
            "bad",
            "warning",
            "The codes differ: another device may be listening in between. Leave, and send a new link another way.",
          ),
          h("div", { class: "row" }, this.#leave, this.#again),
        ];
      case "outdated": {
        const reasons = changes.length === 0 ? ["A device in this call was replaced."] : changes;
        return [line("warn", "warning", `The code has changed since you compared it. ${reasons.join(" ")}`)];
      }
    }
  }

  #drawCode(code: CallCode): void {
    if (code.text === this.#drawn) return;
    const changed = this.#drawn !== null;
    this.#drawn = code.text;
    this.#groups.replaceChildren(
      ...code.groups.map((group) =>
        // Digit by digit for screen readers, which would read a group as a number.
        h("li", {}, h("span", { "aria-hidden": "true" }, group), h("span", { class: "sr-only" }, [...group].join(" "))),
      ),
    );
    this.#qr.replaceChildren(qrCode(code.text, "The call code as a QR code"));
    if (changed) this.#settle();
  }

  /** The code changed: what was read out before must not be confirmed by a click that comes now. */
  #settle(): void {
    if (this.element.closest("dialog")?.open === true) announce("The call code has changed.");
    clearTimeout(this.#settling);
    for (const button of this.#buttons) button.disabled = true;
    this.#settling = setTimeout(() => {
      for (const button of this.#buttons) button.disabled = false;
    }, SETTLE_MS);
  }

  #answer(result: "matches" | "differs"): void {
    const { code } = this.#check;
    if (code !== null) this.#check.compare(code, result);
    if (result === "matches") announce("Marked as compared.");
    // The button that was pressed is gone.
    (result === "matches" ? this.#again : this.#leave).focus();
  }

  async #copy(): Promise<void> {
    const { code } = this.#check;
    if (code === null) return;
    try {
      await navigator.clipboard.writeText(code.groups.join(" "));
      notify("Digits copied.");
    } catch {
      notify("The browser blocked copying.", "bad");
    }
  }
}

function line(tone: "good" | "warn" | "bad", name: "check" | "warning", text: string): HTMLElement {
  return h("p", { class: `code-line is-${tone}`, role: "status" }, icon(name), h("span", {}, ...sentence(text)));
}
