// The start page: make a room, or open one by its link.

import { asTacetError } from "../errors.ts";
import { formatLink, parseLink } from "../link.ts";
import { makeRoom, roomsAreOpen } from "../rooms.ts";
import { h } from "./element.ts";
import { type Screen, wordmark } from "./screen.ts";

/** The start page; `open` enters a room. */
export function home(open: (link: string) => void): Screen {
  const failure = h("p", { class: "failure", role: "alert", hidden: true });
  const fail = (text: string): void => {
    failure.textContent = text;
    failure.hidden = false;
  };

  const start = h(
    "button",
    { type: "button", class: "button primary wide", "data-testid": "make-room" },
    "Start a new room",
  );
  const or = h("div", { class: "or" }, h("span", {}, "or open a link you were sent"));
  const closed = h(
    "p",
    { class: "soft", hidden: true },
    "Rooms are made by the operator of this server. Ask for a link.",
  );
  void roomsAreOpen(location.origin).then((open) => {
    start.hidden = !open;
    or.hidden = !open;
    closed.hidden = open;
  });
  start.addEventListener("click", async () => {
    start.disabled = true;
    failure.hidden = true;
    try {
      open(formatLink(await makeRoom(location.origin)));
    } catch (thrown) {
      fail(asTacetError(thrown, "server-unreachable").message);
      start.disabled = false;
    }
  });

  const field = h("input", {
    id: "link",
    type: "url",
    name: "link",
    placeholder: "https://…/r/…#…",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const enter = (event: Event): void => {
    event.preventDefault();
    try {
      open(formatLink(parseLink(field.value.trim())));
    } catch (thrown) {
      fail(asTacetError(thrown, "bad-link").message);
    }
  };

  return {
    element: h(
      "div",
      { class: "screen centred" },
      h("header", { class: "top" }, wordmark()),
      h(
        "section",
        { class: "card hero" },
        h("h1", {}, "Calls that the server cannot hear"),
        h(
          "p",
          { class: "lead" },
          "Voice and video are encrypted on your device, for the people in the room and for nobody else.",
        ),
        start,
        closed,
        or,
        h(
          "form",
          { class: "inline", onsubmit: enter },
          h("label", { for: "link", class: "sr-only" }, "Room link"),
          field,
          h("button", { type: "submit", class: "button" }, "Open"),
        ),
        failure,
      ),
      h(
        "footer",
        { class: "fine" },
        "A room lasts as long as this server runs. Its secret stays in the link and never reaches the server.",
      ),
    ),
  };
}
