// A round button that is on or off. Its name stays the same; `aria-pressed` says which.

import { h } from "./element.ts";
import { type IconName, icon } from "./icon.ts";

/** A toggle. */
export class Toggle {
  readonly element: HTMLButtonElement;
  readonly #icons: readonly [on: IconName, off: IconName];
  readonly #hints: readonly [on: string, off: string];

  constructor(
    name: string,
    icons: readonly [on: IconName, off: IconName],
    hints: readonly [on: string, off: string],
    testId: string,
    pressed: () => void,
  ) {
    this.#icons = icons;
    this.#hints = hints;
    const attributes = { type: "button", class: "round", "aria-label": name, "data-testid": testId, onclick: pressed };
    this.element = h("button", attributes);
    this.set(false);
  }

  /** Shows the state. */
  set(on: boolean): void {
    const index = on ? 0 : 1;
    this.element.setAttribute("aria-pressed", String(on));
    this.element.title = this.#hints[index];
    this.element.replaceChildren(icon(this.#icons[index]));
  }

  /** Whether it can be pressed: not while it works. */
  set busy(busy: boolean) {
    this.element.disabled = busy;
  }
}
