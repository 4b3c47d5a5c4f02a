// The page shows one screen at a time, in the app element.

import { h } from "./element.ts";
import { icon } from "./icon.ts";

/** A screen. */
export interface Screen {
  readonly element: HTMLElement;
  /** Called when another screen replaces it. */
  leave?(): void;
}

let current: Screen | undefined;

/** Replaces the current screen, and moves the focus to the new one's heading or first field. */
export function show(screen: Screen): void {
  current?.leave?.();
  current = screen;
  document.querySelector("#app")?.replaceChildren(screen.element);
  screen.element.querySelector<HTMLElement>("[autofocus]")?.focus();
}

/** Returns the product's name with its mark, as a link to the home page. */
export function wordmark(): HTMLElement {
  return h(
    "a",
    { class: "wordmark", href: "/", "aria-label": "tacet, home page" },
    icon("mark"),
    h("span", {}, "tacet"),
  );
}
