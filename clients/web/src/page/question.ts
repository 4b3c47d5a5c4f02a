// A dialog with a question and two answers.

import { h } from "./element.ts";

/** What a dialog asks. */
export interface QuestionOptions {
  readonly question: string;
  readonly explanation: string;
  /** The answer that changes nothing. It has the focus. */
  readonly stay: string;
  readonly go: string;
}

/** A dialog. */
export class Question {
  readonly element: HTMLDialogElement;

  /** @param go is called if the person agrees */
  constructor({ question, explanation, stay, go: label }: QuestionOptions, go: () => void) {
    const close = (): void => this.element.close();
    const agree = (): void => {
      close();
      go();
    };
    this.element = h(
      "dialog",
      { class: "sheet question", "aria-labelledby": "question", "data-testid": "question" },
      h("h2", { id: "question" }, question),
      h("p", {}, explanation),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", class: "button primary", autofocus: true, onclick: close }, stay),
        h("button", { type: "button", class: "button", "data-testid": "agree", onclick: agree }, label),
      ),
    );
  }

  /** Asks. */
  ask(): void {
    if (!this.element.open) this.element.showModal();
  }
}
