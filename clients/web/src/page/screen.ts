// The page shows one screen at a time. Each screen fills the app element, and says what to do when it is left.

import { h } from "./element.ts";
import { icon } from "./icon.ts";

/** A screen: its element, and what ends with it. */
export interface Screen {
  readonly element: HTMLElement;
  /** Called when another screen takes its place. */
  leave?(): void;
}

let current: Screen | undefined;

/** Shows a screen in the place of the present one, and moves the focus to its heading or first field. */
export function show(screen: Screen): void {
  current?.leave?.();
  current = screen;
  document.querySelector("#app")?.replaceChildren(screen.element);
  screen.element.querySelector<HTMLElement>("[autofocus]")?.focus();
}

/** The name of the product, with its mark. */
export function wordmark(): HTMLElement {
  return h(
    "a",
    { class: "wordmark", href: "/", "aria-label": "tacet, start page" },
    icon("mark"),
    h("span", {}, "tacet"),
  );
}
