// A round toggle button. Its label stays the same; `aria-pressed` carries the state.

import { h } from "./element.ts";
import { type IconName, icon } from "./icon.ts";

/** A value for each of the two states. */
export interface OnOff<T> {
  readonly on: T;
  readonly off: T;
}

/** How a toggle looks. */
export interface ToggleOptions {
  readonly label: string;
  readonly icons: OnOff<IconName>;
  /** What a press does in each state, as the tooltip. */
  readonly hints: OnOff<string>;
  readonly testId: string;
}

/** A toggle button. */
export class Toggle {
  readonly element: HTMLButtonElement;
  readonly #options: ToggleOptions;

  constructor(options: ToggleOptions, pressed: () => void) {
    this.#options = options;
    const { label, testId } = options;
    const attributes = { type: "button", class: "round", "aria-label": label, "data-testid": testId, onclick: pressed };
    this.element = h("button", attributes);
    this.set(false);
  }

  /** Shows the state: on or off. */
  set(on: boolean): void {
    const { hints, icons } = this.#options;
    const state = on ? "on" : "off";
    this.element.setAttribute("aria-pressed", String(on));
    this.element.title = hints[state];
    this.element.replaceChildren(icon(icons[state]));
  }

  /** Disables the button while an action is in progress. */
  set busy(busy: boolean) {
    this.element.disabled = busy;
  }
}
