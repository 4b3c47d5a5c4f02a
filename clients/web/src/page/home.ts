// The home page: create a room, or open one by its link.

import { asTacetError } from "../errors.ts";
import { formatLink, parseLink } from "../link.ts";
import { createRoom, roomsAreOpen } from "../rooms.ts";
import { h } from "./element.ts";
import { type Screen, wordmark } from "./screen.ts";

/** Returns the home page. `open` opens a room. */
export function home(open: (link: string) => void): Screen {
  const failure = h("p", { class: "failure", role: "alert", hidden: true });
  const fail = (text: string): void => {
    failure.textContent = text;
    failure.hidden = false;
  };

  const create = h(
    "button",
    { type: "button", class: "button primary wide", "data-testid": "create-room" },
    "Create a room",
  );
  const or = h("div", { class: "or" }, h("span", {}, "or open a link"));
  const closed = h(
    "p",
    { class: "soft", hidden: true },
    "Only the operator of this server can create rooms. Ask them for a link.",
  );
  void roomsAreOpen(location.origin).then((open) => {
    create.hidden = !open;
    or.hidden = !open;
    closed.hidden = open;
  });
  create.addEventListener("click", async () => {
    create.disabled = true;
    failure.hidden = true;
    try {
      open(formatLink(await createRoom(location.origin)));
    } catch (thrown) {
      fail(asTacetError(thrown, "server-unreachable").message);
      create.disabled = false;
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
        h("h1", {}, "Calls the server can't listen to"),
        h(
          "p",
          { class: "lead" },
          "Audio and video are encrypted on your device. Only the people in the room can decrypt them.",
        ),
        create,
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
      h("footer", { class: "fine" }, "A room's secret is part of its link and is never sent to the server."),
    ),
  };
}
