// A screen with a message and the possible next steps.

import { h } from "./element.ts";
import { type Screen, wordmark } from "./screen.ts";

/** A button of the screen. */
export interface NextStep {
  readonly label: string;
  run(): void;
}

/** Returns a screen with a heading, a sentence and one or two buttons. The first one is the primary. */
export function message(heading: string, text: string, steps: readonly NextStep[]): Screen {
  const buttons = steps.map(({ label, run }, index) =>
    h("button", { type: "button", class: index === 0 ? "button primary" : "button", onclick: run }, label),
  );
  return {
    element: h(
      "div",
      { class: "screen centred" },
      h("header", { class: "top" }, wordmark()),
      h(
        "section",
        { class: "card message", "data-testid": "message" },
        h("h1", { tabindex: -1, autofocus: true }, heading),
        h("p", {}, text),
        h("div", { class: "row" }, ...buttons),
      ),
    ),
  };
}
