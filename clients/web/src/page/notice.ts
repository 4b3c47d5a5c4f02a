// Short notices that disappear after a while. Screen readers announce them.

import { announce } from "./announcer.ts";
import { h, sentence } from "./element.ts";

const SHOWN_MS = 5_000;

/** Shows a notice. */
export function notify(text: string, tone: "plain" | "bad" = "plain"): void {
  const notice = h("p", { class: `notice notice-${tone}` }, ...sentence(text));
  document.querySelector("#notices")?.append(notice);
  announce(text);
  setTimeout(() => notice.remove(), SHOWN_MS);
}
