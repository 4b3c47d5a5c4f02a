// The page's only live region. Screen readers read what is announced once, and nothing that merely counts or blinks.

import { h, sentence } from "./element.ts";

/** How long a sentence stays in the region. Long enough to be read, short enough not to be met again while browsing. */
const KEPT_MS = 10_000;

/** Says a sentence to screen readers. */
export function announce(text: string): void {
  const line = h("p", {}, ...sentence(text));
  document.querySelector("#live")?.append(line);
  setTimeout(() => line.remove(), KEPT_MS);
}
